"""A search for several tasks at once: one path where they share layers, a branch for each, chosen by all of them."""

from __future__ import annotations

import functools
import json
from types import SimpleNamespace

import pytest
from command_world import Finished, pathsearch
from dense_world import dense_data
from safetensors import safe_open
from small_world import log_rows, scratch

from pathsearch.experts.expert import Expert
from pathsearch.experts.together_search import _ended, _row
from pathsearch.grid.path import Path
from pathsearch.run.runs import GENERATION, Run
from pathsearch.run.settings import RunSettings
from pathsearch.run.together_settings import TogetherSettings
from pathsearch.targets.target import Fitness
from pathsearch.training.fitness import Progress

TASKS = ("discs", "discs:class")
RUNS = ("discs-random-s0", "discs-class-random-s0")
SMALL = ("grid.n_modules=3", "grid.max_active=1", "search.population=4", "search.generations=2", "search.steps=3")
SMALL += ("search.warmup=0", "search.batch_size=8", "training.epochs=2", "training.batch_size=8")
SMALL += ("training.finalists=2", "training.random_paths=1", "search.elite=1", "search.tournament=2")
JOINT = ("--strategy", "joint")
FRESH = ("--weights", "fresh", "--set", "search.recipes=true")
DOWN = ["down1", "down2", "down3", "down4"]


def evolve(runs_dir, *arguments, tasks=TASKS, **more) -> Finished:
    """`pathsearch evolve` of several tasks with quick settings."""
    words = [word for one in tasks for word in ("--task", one)]
    words += [word for one in SMALL for word in ("--set", one)] + ["--blueprint", "ums-rep", "--encoder", "pixels"]
    places = ("--data-dir", dense_data(), "--runs-dir", runs_dir, "--device", "cpu")
    return pathsearch("evolve", *words, *places, *arguments, **more)


@functools.cache
def finished(*arguments: str):
    folder = scratch() / "together-search" / "-".join(arguments).replace("/", "_")
    done = evolve(folder, *arguments)
    assert done.code == 0, done
    return folder


def files(folder):
    """Of both runs, what must come out the same: no report, which has times."""
    names = ("expert.safetensors", "path.json", "training.csv", "router.safetensors")
    return [(folder / run / name).read_bytes() for run in RUNS for name in names]


def numbers(folder):
    kept = []
    for run in RUNS:
        report = json.loads((folder / run / "report.json").read_text())
        kept.append({key: value for key, value in report.items() if key not in ("seconds", "images_encoded_now")})
    logs = [
        [{key: value for key, value in row.items() if key != "seconds"} for row in log_rows(Run(folder / run))]
        for run in RUNS
    ]
    return kept, logs


@pytest.mark.parametrize("how", [JOINT, ("--strategy", "alternating"), (*JOINT, "--set", "together.fitness=rank")])
def test_each_task_becomes_a_run_on_the_path_that_all_have(how):
    folder = finished(*how)
    masks, kinds = (Run(folder / run).report() for run in RUNS)
    whole = Path.parse(masks["together"]["path"])
    own = [Path.parse(report["path"]) for report in (masks, kinds)]
    assert whole.layers[:4] == own[0].layers[:4] == own[1].layers[:4]
    assert whole.layers[4:] == own[0].layers[4:] + own[1].layers[4:]
    assert masks["together"] == kinds["together"]
    assert masks["together"]["shared_layers"] == DOWN
    networks = [Expert.load(Run(folder / run).expert_file).network.network for run in RUNS]
    for name in DOWN:
        one, other = (network.modules_called(name)[0].state_dict() for network in networks)
        assert all((tensor == other[key]).all() for key, tensor in one.items())
    for report in (masks, kinds):
        assert set(report["baselines"]) == {"full_grid", "linear_probe", "random_path"}
        assert report["search"]["generations"] == 2
        assert report["choice"]["in_words"].endswith("all tasks together chose, see together")
        assert [row["path"] for row in report["finalists"] if row["chosen"]] == [report["path"]]


def test_the_log_of_each_is_in_its_own_measure_and_paths():
    rows = [log_rows(Run(finished(*JOINT) / run)) for run in RUNS]
    for masks, kinds in zip(*rows, strict=True):
        assert len(Path.parse(masks["best_path"]).layers) == 8
        assert len(Path.parse(kinds["best_path"]).layers) == 5
        mean = (float(masks["best"]) + float(kinds["best"])) / 2
        assert float(masks["best_together"]) == float(kinds["best_together"]) == pytest.approx(mean)


def test_means_are_of_all_that_compete(tmp_path):
    """Survivors of earlier generations too, as in the log of one task."""
    less = [one for one in SMALL if not one.startswith(("search.elite", "search.tournament", "search.generations"))]
    words = [word for one in TASKS for word in ("--task", one)] + [word for one in less for word in ("--set", one)]
    words += ["--blueprint", "ums-rep", "--encoder", "pixels", "--data-dir", dense_data(), "--device", "cpu"]
    done = pathsearch("evolve", *words, "--runs-dir", tmp_path, *JOINT, "--pareto", "--generations", "3")
    assert done.code == 0, done
    with safe_open(tmp_path / RUNS[0] / "checkpoint" / GENERATION, "pt") as file:
        state = json.loads(file.metadata()["pathsearch"])["state"]
    whole = [row["mean"] for row in state["log"]]
    each = [[float(row["mean"]) for row in log_rows(Run(tmp_path / run))] for run in RUNS]
    assert [(one + other) / 2 for one, other in zip(*each, strict=True)] == pytest.approx(whole)


def test_ranks_do_not_end_a_search():
    """There is a best path in every generation: its rank is no gain, nor the lack of one."""
    ranked = RunSettings("t", "s", together=TogetherSettings("joint", fitness="rank"))
    assert (_ended(ranked).target, _ended(ranked).plateau) == (None, None)
    plain = RunSettings("t", "s", together=TogetherSettings("joint"))
    assert _ended(plain) == plain.search


def test_one_part_beside_two_branches_has_two_scores():
    """As under fresh weights, whose networks learned beside other partners."""
    paths = [Path.parse("0|1"), Path.parse("0|2")]
    grid = SimpleNamespace(count_parameters=lambda path, task: 7)
    branches = SimpleNamespace(grids=[grid], tasks=["t"], of=lambda path, number: Path(path.layers[:1]))
    heard = SimpleNamespace(paths=paths, said=[[Fitness(0.2, -1.0), Fitness(0.6, -2.0)]])
    state = SimpleNamespace(log=[{"generation": 1, "best": 0.9, "best_path": "0|1"}])
    row = _row(SimpleNamespace(branches=branches), state, heard, paths, 0, Progress(0.0, 0.0))
    assert (row["mean"], row["worst"], row["mean_log_likelihood"]) == (pytest.approx(0.4), 0.2, -1.5)
    assert (row["best"], row["best_path"], row["best_together"]) == (0.2, "0", 0.9)


@pytest.mark.parametrize(
    "where",
    [
        ("pathsearch.training.kept:Kept.save_generation", 2),  # in the search
        ("pathsearch.training.last_training:train_together", 2),  # a finalist
        ("pathsearch.training.last_training:train_together", 4),  # a baseline
        ("pathsearch.experts.finishing:forget_trainings", 2),  # one run is finished
    ],
)
def test_killed_and_resumed_it_comes_out_the_same(tmp_path, where):
    assert evolve(tmp_path, *JOINT, kill=where).code == -9
    done = evolve(tmp_path, *JOINT, "--resume")
    assert done.code == 0, done
    assert files(tmp_path) == files(finished(*JOINT))
    assert numbers(tmp_path) == numbers(finished(*JOINT))


def test_a_recipe_brings_the_strategy_and_the_weights_of_the_losses():
    masks, kinds = (Run(finished(*JOINT, *FRESH) / run).report() for run in RUNS)
    assert masks["recipe"] == kinds["recipe"]
    about, (weight,) = masks["together"], masks["recipe"]["weights"]
    assert about["strategy"] == masks["recipe"]["strategy"] in ("alternating", "joint")
    assert about["loss_weights"] == f"1:{weight:g}"


def test_one_after_another_each_is_searched_on_the_grid_of_the_one_before():
    folder = finished()
    kinds = Run(folder / RUNS[1]).report()
    assert "together" not in kinds
    (row,) = kinds["earlier_experts"]
    assert (row["task"], row["logits_identical"]) == ("discs", True)


def test_what_was_searched_together_is_bundled_and_evaluated_together(tmp_path):
    folder = finished(*JOINT)
    places = ("--data-dir", dense_data(), "--runs-dir", folder)
    done = pathsearch("bundle", *RUNS, "--out", tmp_path / "model", *places)
    assert done.code == 0, done
    done = pathsearch(
        "predict",
        tmp_path / "model",
        next((dense_data() / "discs" / "images").iterdir()),
        "--out",
        tmp_path / "answers",
    )
    assert done.code == 0, done


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*JOINT, "--weights", "fresh", "--set", "search.folds=2"), "search.folds: expected 1 in a search for several"),
        (("--set", "together.fitness=rank"), "together.fitness: rank has no effect"),
        (
            (*JOINT, "--set", "together.shared_layers=5"),
            "shared_layers: expected at most 4, the layers that lead to every head (down1, down2, down3, down4), got 5",
        ),
        ((*JOINT, "--set", "together.fitness=1:2:3"), "fitness: expected 2 numbers, one for each task, got 3"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path, arguments, message):
    done = evolve(tmp_path, *arguments)
    assert done.code == 2, done
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_one_task_has_no_strategy(tmp_path):
    done = evolve(tmp_path, *JOINT, tasks=TASKS[:1])
    assert done.code == 2
    assert "--strategy joint: expected several tasks, got one" in done.err


def test_as_many_random_paths_as_are_wanted(tmp_path):
    """Each is a training of its own, and a refit: more than two digits number."""
    quick = ("search.generations=1", "search.steps=1", "training.epochs=1", "training.batch_size=24")
    named = {one.partition("=")[0] for one in (*quick, "training.random_paths")}
    kept = [one for one in SMALL if one.partition("=")[0] not in named]
    words = [word for one in (*kept, *quick, "training.random_paths=45") for word in ("--set", one)]
    tasks = [word for one in TASKS for word in ("--task", one)]
    places = ("--data-dir", dense_data(), "--runs-dir", tmp_path, "--device", "cpu")
    done = pathsearch("evolve", *tasks, *words, "--blueprint", "ums-rep", "--encoder", "pixels", *places, *JOINT)
    assert done.code == 0, done
    report = Run(tmp_path / RUNS[0]).report()
    assert len(report["baselines"]["random_path"]["each"]) == 45
