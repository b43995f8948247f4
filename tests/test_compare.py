"""A comparison: every method fixed on validation before one look at the test images, resumable, honest in words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
import torch
from page_checks import Page, faults
from safetensors import safe_open
from safetensors.torch import save_file
from small_world import CPU, SIZE, data_dir, encoder, refused, settings, task
from threadpoolctl import threadpool_limits

from pathsearch import nearest, rivals
from pathsearch.baselines import linear_probe, train_path
from pathsearch.compare import Comparison, compare
from pathsearch.config import GridSettings, RunSettings
from pathsearch.features import Features, Split, Standardiser, encode
from pathsearch.figure_fronts import bought
from pathsearch.figures import plot_comparison
from pathsearch.fronts import Frame, front
from pathsearch.grid import Grid
from pathsearch.path import Path as ModulePath
from pathsearch.recipe import Recipe, followed
from pathsearch.report_page import write_page
from pathsearch.rivals import METHODS, Arena
from pathsearch.runs import all_runs, find_run
from pathsearch.statistics import rank_agreement
from pathsearch.teller import Silent, Teller
from pathsearch.terminal import Terminal, spread
from pathsearch.tradeoff import FRONTED, fronts_report

SEEDS = 2


def chosen(**options: Any) -> RunSettings:
    return replace(settings("blobs", generations=2, **options), data=task("blobs").fingerprint)


def run(
    runs_dir: Path, of: RunSettings | None = None, seeds: int = SEEDS, tell: Teller | None = None
) -> tuple[Comparison, dict[str, Any]]:
    of = of or chosen()
    comparison = Comparison.of(runs_dir, of, seeds, encoder())
    with threadpool_limits(1):
        report = compare(
            task("blobs"), encoder(), of, seeds, comparison, data_dir() / "features", CPU, tell or Silent()
        )
    return comparison, report


def timeless(value: Any) -> Any:
    """A report without how long its parts took."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k != "seconds"}
    return [timeless(v) for v in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> tuple[Comparison, dict[str, Any]]:
    return run(tmp_path_factory.mktemp("runs"))


def arena(of: RunSettings | None = None) -> Arena:
    found = encode(task("blobs"), encoder(), data_dir() / "features")
    parts = (found.train(), found.validation())
    return Arena(task("blobs"), encoder().feature_shape, of or chosen(), *parts, CPU, Silent())


# --- the report -----------------------------------------------------------------------------------------------------


def test_the_report_holds_every_method_at_every_seed(done):
    comparison, report = done
    assert json.loads(comparison.report_file.read_text()) == json.loads(json.dumps(report))
    assert set(report["methods"]) == set(METHODS)
    for method, row in report["methods"].items():
        assert [one["seed"] for one in row["each"]] == [0, 1]
        each = [one["test"]["accuracy"] for one in row["each"]]
        assert row["test"]["accuracy"]["each"] == each
        assert row["test"]["accuracy"]["mean"] == pytest.approx(np.mean(each))
        assert row["test"]["accuracy"]["sd"] == pytest.approx(np.std(each, ddof=1))
        if method == "evolved":
            continue
        against = report["against"][method]
        gaps = [(one["b"] - one["c"]) / one["n"] for one in against["mcnemar"]]
        assert against["difference"] == pytest.approx(np.mean(gaps))
        assert against["p_holm"] is None, "two seeds allow no test"
    assert any("2 seeds are too few for a test over seeds" in line for line in report["verdict"])
    assert [one["n"] for one in report["rank_fidelity"]["each"]] == [
        len(one["final"]) for one in report["rank_fidelity"]["each"]
    ]


def test_the_evolved_path_is_that_of_evolve(done, tmp_path):
    from small_world import evolve

    _, report = evolve(tmp_path / "r", chosen())
    own = done[1]["methods"]["evolved"]["each"][0]
    assert own["path"] == report["path"]
    for part in ("validation", "test"):
        assert own[part]["confusion"] == report[part]["confusion"]


def test_budgets_are_equal(done):
    # warm-up 4 + 2 generations of 4 minibatches = 12; 8 paths: one minibatch each for PathNet, 12 // 8 = 1 generation
    report = done[1]
    each = {name: row["each"][0] for name, row in report["methods"].items()}
    assert report["budget"]["search_images"] == 12 * 32 == each["evolved"]["images"]["search"]
    assert each["random_search"]["images"]["search"] == 12 * 32
    assert each["pathnet"]["images"]["search"] == 8 * 32
    assert each["random_search"]["evaluations"] == each["evolved"]["evaluations"] == 16
    # 384 images are 1.33 trainings of 4 epochs of 72 images: two more than the finalists
    assert report["budget"]["candidates_without_search"] == 2 + 2
    for name in ("random_paths", "full_grid", "linear_probe"):
        assert len(each[name]["candidates"]) == 4
        assert each[name]["images"]["search"] == 0


def test_the_same_rule_chooses_everywhere(done):
    for method in ("evolved", "random_search", "pathnet", "random_paths", "ladder"):
        for one in done[1]["methods"][method]["each"]:
            best = max(row["validation_accuracy"] for row in one["candidates"])
            bar = best - np.sqrt(best * (1 - best) / one["validation"]["n"])
            good = [row["parameters"] for row in one["candidates"] if row["validation_accuracy"] >= bar]
            assert one["candidates"][one["chosen"]]["parameters"] == one["parameters"] == min(good)


# --- one look at the test, whole parts ------------------------------------------------------------------------------


def test_the_test_is_read_once_after_all_parts_are_there(tmp_path, monkeypatch):
    parts: list[int] = []
    original: Callable[[Features], Split] = Features.test

    def spy(self: Features) -> Split:
        parts.append(len(list(tmp_path.glob("compare-*/parts/*.safetensors"))))
        return original(self)

    monkeypatch.setattr(Features, "test", spy)
    comparison, first = run(tmp_path, seeds=1)
    assert parts == [len(METHODS)]
    assert run(tmp_path, seeds=1)[1] == json.loads(json.dumps(first)), "a finished one is read, not made again"
    assert parts == [len(METHODS)]
    comparison.report_file.unlink()
    run(tmp_path, seeds=1)
    assert len(parts) == 2, "the spy sees a second look"


def test_an_interrupted_comparison_goes_on_to_the_same_report(done, tmp_path, monkeypatch):
    comparison, report = done
    made: list[tuple[str, int]] = []
    folder = tmp_path / comparison.folder.name
    shutil.copytree(comparison.folder, folder)
    again = Comparison(folder)
    again.report_file.unlink()
    for lost in ((0, "pathnet"), (1, "nearest")):
        again.part(*lost).unlink()
    original = rivals.enter

    def enter(arena: Arena, method: str, seed: int) -> rivals.Entry:
        made.append((method, seed))
        return original(arena, method, seed)

    monkeypatch.setattr(rivals, "enter", enter)
    found = run(tmp_path)[1]
    assert made == [("pathnet", 0), ("nearest", 1)]
    assert timeless(found) == timeless(report)


def test_a_later_first_seed_gives_the_parts_of_that_seed(done, tmp_path):
    (comparison, _), (later, report) = done, run(tmp_path, replace(chosen(), seed=1), seeds=1)
    assert report["seeds"] == [1]
    for method in METHODS:
        one, same = comparison.load(1, method), later.load(1, method)
        assert one is not None
        assert same is not None
        assert torch.equal(one.log_p, same.log_p), method
        assert one.facts["path"] == same.facts["path"] if "path" in one.facts else "path" not in same.facts


def test_every_seed_draws_its_own_few_images(tmp_path, monkeypatch):
    seen: dict[tuple[int, str], list[list[int]]] = {}
    original = rivals.enter

    def enter(arena: Arena, method: str, seed: int) -> rivals.Entry:
        seen[seed, method] = [split.rows[0].tolist() for split in (arena.training, arena.validation)]
        return original(arena, method, seed)

    monkeypatch.setattr(rivals, "enter", enter)
    few = chosen(images_per_class=6)
    comparison, report = run(tmp_path, few)
    draws = [{str(rows) for (seed, _), rows in seen.items() if seed == one} for one in range(SEEDS)]
    assert [len(one) for one in draws] == [1, 1], "the same for all rivals of a seed"
    assert draws[0] != draws[1]
    assert [len(rows) for rows in seen[0, "evolved"]] == [12, 12]
    assert "only 6 training images" in report["split_in_words"]
    assert report["budget"]["settings"]["training"]["images_per_class"] == 6
    row = report["methods"]["evolved"]
    assert (row["validation"]["n"], row["test"]["n"]) == (12, len(task("blobs").rows("test")))
    assert json.loads((comparison.folder / "config.json").read_text())["training"]["images_per_class"] == 6


def test_a_seed_of_few_images_is_what_evolve_does(tmp_path):
    from small_world import evolve

    few = chosen(images_per_class=6)
    own = run(tmp_path, few)[1]["methods"]["evolved"]["each"][1]
    _, report = evolve(tmp_path / "r", replace(few, seed=1))
    assert own["path"] == report["path"]
    assert "only 6 training images" in report["split_in_words"]
    for part in ("validation", "test"):
        assert own[part]["confusion"] == report[part]["confusion"]


def test_a_damaged_part_is_named(done, tmp_path):
    comparison = Comparison(tmp_path / "c")
    comparison.part(0, "ladder").parent.mkdir(parents=True)
    comparison.part(0, "ladder").write_bytes(done[0].part(0, "ladder").read_bytes()[:100])
    with refused(r"part .*s0-ladder.safetensors: cannot be read .*remove it to make it again"):
        comparison.load(0, "ladder")
    assert comparison.load(0, "evolved") is None


def test_a_part_of_an_earlier_form_is_named(done, tmp_path):
    comparison = Comparison(tmp_path / "c")
    file = comparison.part(0, "ladder")
    file.parent.mkdir(parents=True)
    with safe_open(done[0].part(0, "ladder"), "pt") as opened:
        save_file({"log_p": opened.get_tensor("log_p")}, file, metadata={"part": opened.metadata()["part"]})
    with refused(r"part .*s0-ladder.safetensors: has form 1 of another version, expected 2, .*remove .*parts to make"):
        comparison.load(0, "ladder")


def test_other_settings_get_another_directory(tmp_path):
    one = chosen()
    others = [(one, 3), (chosen(views=2), 2), (replace(one, data="other"), 2), (chosen(epochs=5), 2)]
    names = {Comparison.of(tmp_path, of, seeds, encoder()).folder.name for of, seeds in [(one, 2), *others]}
    assert len(names) == 5
    assert Comparison.of(tmp_path, chosen(), 2, encoder()).folder.name in names, "the same settings find it again"
    assert all(name.startswith("compare-blobs-random-") for name in names)
    with refused("--seeds: expected at least 1, got 0"):
        Comparison.of(tmp_path, chosen(), 0, encoder())


def test_a_comparison_is_no_run(done):
    folder = done[0].folder
    assert all_runs(folder.parent) == []
    with refused("run compare-.* not found"):
        find_run(folder.parent, folder.name)


def test_two_processes_share_the_work(done, tmp_path, monkeypatch):
    """What the other process is making is left to it and awaited; every part is made once, the report is the same."""
    comparison, made, enter = Comparison.of(tmp_path, chosen(), SEEDS, encoder()), [], rivals.enter
    mine = [(0, "evolved"), (1, "ladder")]

    def other() -> None:
        with ExitStack() as claims:
            held = [claims.enter_context(comparison.claim(f"s{seed}-{method}", wait=False)) for seed, method in mine]
            claimed.set()
            assert held == [True, True]
            assert waits.wait(60)
            for seed, method in mine:
                shutil.copy(done[0].part(seed, method), comparison.part(seed, method))

    def spy(where: Arena, method: str, seed: int) -> Any:
        made.append((seed, method))
        return enter(where, method, seed)

    class Waiter(Silent):
        def stage(self, name: str, total: int) -> None:
            if len(made) == len(METHODS) * SEEDS - len(mine):
                waits.set()

    claimed, waits = Event(), Event()
    monkeypatch.setattr(rivals, "enter", spy)
    rival = Thread(target=other)
    rival.start()
    assert claimed.wait(60)
    report = run(tmp_path, tell=Waiter())[1]
    rival.join()
    assert sorted(made) == sorted({(s, m) for s in range(SEEDS) for m in METHODS} - set(mine))
    assert timeless(report) == timeless(done[1])


def test_a_claim_is_for_one_process_only(done):
    with done[0].claim("x", wait=False) as first, done[0].claim("x", wait=False) as second:
        assert (first, second) == (True, False)
    with done[0].claim("x", wait=False) as third:
        assert third


# --- the controls ---------------------------------------------------------------------------------------------------


def test_rungs_rise_in_size():
    grid = Grid((8, 2, 2), GridSettings(n_modules=6, width=8), seed=0)
    grid.add_head("t", 2)
    several = rivals.rungs(grid, 3)
    sizes = [grid.count_parameters(path, "t") for path in several]
    assert sizes == sorted(set(sizes))
    ranked = [sorted(row) for row in grid.module_parameters()]
    for path, place in ((several[0], 0), (several[-1], -1)):
        assert [grid.module_parameters()[n][layer[0]] for n, layer in enumerate(path.layers)] == [
            row[place] for row in ranked
        ]
    assert len(rivals.rungs(grid, 99)) == 6, "no more rungs than modules"
    assert all(len(layer) == 1 for path in several for layer in path.layers)


@pytest.mark.parametrize("method", ["evolved", "random_search", "pathnet"])
def test_every_search_spreads_its_finalists_alike(method, monkeypatch):
    """Under `pareto` the controls' candidates span the sizes too, though they do not search by it."""
    asked: list[tuple[bool, str]] = []
    original = rivals.finalists

    def spy(evaluator: Any, state: Any, size_of: Any, of: RunSettings, n: int) -> Any:
        asked.append((of.search.pareto, of.search.preset))
        return original(evaluator, state, size_of, of, n)

    monkeypatch.setattr(rivals, "finalists", spy)
    rivals.enter(arena(chosen(pareto=True, epochs=1)), method, 0)
    assert asked == [(True, {"random_search": "random", "pathnet": "pathnet"}.get(method, "generational"))]


def test_the_first_restart_is_the_seed_itself():
    found = rivals.enter(arena(), "full_grid", 0)
    assert len(found.facts["candidates"]) == 4
    assert ModulePath.parse(found.facts["path"]) == Grid(encoder().feature_shape, chosen().grid, 0).space.full_path()


@pytest.mark.parametrize("method", METHODS)
def test_a_loaded_part_answers_validation_as_it_was_trained(done, method):
    """Without a refit the fixed network is the one whose validation answers were kept."""
    of = chosen(refit=False)
    here = arena(of)
    entry = rivals.enter(here, method, 1)
    found = rivals.answers(here, entry, here.validation)
    np.testing.assert_allclose(found, entry.log_p.double().exp().numpy(), atol=1e-6)


def line(values: list[float], labels: list[int], name: str = "train") -> Split:
    """Images whose one feature is a number."""
    maps = np.array(values, np.float16)[:, None, None, None]
    rows = (np.arange(len(values)),)
    return Split(name, torch.tensor(labels), (maps,), rows, Standardiser(torch.zeros(1, 1, 1), torch.ones(1, 1, 1)))


def test_neighbours_by_hand():
    known = line([0, 1, 2, 10, 11, 12], [0, 0, 0, 1, 1, 1])
    asked = line([1, 6.4, 11], [0, 1, 1], "val")
    # k = 1: one vote and one image more of each class: (1 + 1) / 3 against 1 / 3
    expected = [[2 / 3, 1 / 3], [1 / 3, 2 / 3], [1 / 3, 2 / 3]]
    np.testing.assert_allclose(nearest.answers(known, asked, asked, 1, False), expected)
    # k = 5: of the five nearest to 6.4 (2, 10, 1, 11, 12) three are of class 1: (2 + 1) / 7, (3 + 1) / 7
    np.testing.assert_allclose(nearest.answers(known, asked, asked, 5, False)[1], [3 / 7, 4 / 7])
    facts, log_p = nearest.choose(known, asked, replace(chosen(), task="t"))
    assert facts["k"] == 5, "1, 3 and 5 are all right: the most neighbours"
    assert facts["parameters"] == 9, "with validation images, one number each"
    assert log_p.shape == (3, 2)
    assert nearest.answers(known, asked, line([], []), 3, True).shape == (0, 2), "a task may have no test images"


def test_rank_agreement_by_hand():
    # 1 < 2 < 3 < 4 against 1, 3, 2, 4: five pairs of six agree, one does not: (5 - 1) / 6
    found = rank_agreement([(0.1, 0), (0.2, 0), (0.3, 0), (0.4, 0)], [0.1, 0.3, 0.2, 0.4])
    assert found["tau"] == pytest.approx(4 / 6)
    assert rank_agreement([(0.1, -2), (0.1, -1)], [0.1, 0.2])["tau"] == pytest.approx(1), "likelihood breaks ties"
    assert rank_agreement([(0.1, -2), (0.2, -1)], [0.1, 0.1])["tau"] is None


# --- recipes --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_recipes(tmp_path_factory) -> tuple[Comparison, dict[str, Any]]:
    return run(tmp_path_factory.mktemp("recipes"), chosen(weights="fresh", recipes=True, steps=1, epochs=2), seeds=1)


def test_every_method_that_can_has_recipes(with_recipes):
    rows = {method: row["each"][0] for method, row in with_recipes[1]["methods"].items()}
    for method in ("evolved", "random_search", "random_paths"):
        paths = [ModulePath.parse(one["path"]) for one in rows[method]["candidates"]]
        assert all(path.recipe is not None for path in paths), method
        assert rows[method]["path"] == str(paths[rows[method]["chosen"]])
    for method in ("pathnet", "ladder"):
        assert all(ModulePath.parse(one["path"]).recipe is None for one in rows[method]["candidates"]), method
    for method in ("full_grid", "linear_probe"):
        recipes = [one.get("recipe") for one in rows[method]["candidates"]]
        assert recipes[0] is None, "the first training is the settings' own"
        assert all(Recipe.parse(text).check() for text in recipes[1:])
        assert len(set(recipes)) > 2
    assert [one.get("recipe") for one in rows["full_grid"]["candidates"]] == recipes, "both draw alike"
    full = ModulePath.parse(rows["full_grid"]["path"])
    said = rows["full_grid"]["candidates"][rows["full_grid"]["chosen"]].get("recipe")
    assert (said and Recipe.parse(said)) == full.recipe
    assert "evolve with the path" in with_recipes[1]["budget"]["in_words"]


@pytest.mark.parametrize("method", ["full_grid", "linear_probe"])
def test_restarts_follow_their_recipes(method, monkeypatch):
    """The second training, were it chosen, is what settings of its recipe's values give, before and after the refit."""
    monkeypatch.setattr(rivals, "_best", lambda arena, results: 1)
    of = chosen(weights="fresh", recipes=True, steps=1, epochs=2)
    here = arena(of)
    entry = rivals.enter(here, method, 0)
    seed, recipe = rivals._restarts(here, 0)[0][1], Recipe.parse(entry.facts["candidates"][1]["recipe"])
    last = followed(of.training, recipe)
    grid, both = here.grid(seed if method == "full_grid" else 0), (here.training, here.validation)
    if method == "full_grid":
        alone = train_path(grid, "blobs", grid.space.full_path(), *both, last, seed)
    else:
        alone = linear_probe(grid, 2, *both, last, seed)
    assert torch.equal(alone.log_p, entry.log_p)
    weights = alone.network.state_dict()
    assert all(torch.equal(weights[name], tensor) for name, tensor in entry.weights.items())


def test_without_recipes_nobody_has_one(done):
    assert "recipe" not in json.dumps(done[1]["methods"])
    assert "evolve with the path" not in done[1]["budget"]["in_words"]


def test_the_page_of_recipes_is_written(with_recipes):
    folder = with_recipes[0].folder
    plot_comparison(folder)
    assert faults(write_page(folder).read_text()) == []
    Terminal().comparison_table(with_recipes[1])


# --- fronts ---------------------------------------------------------------------------------------------------------


def test_every_front_is_kept_with_its_networks(done):
    comparison, report = done
    for method in METHODS:
        entry = comparison.load(1, method)
        if method not in FRONTED:
            assert entry.front == {}
            continue
        rows = entry.facts["candidates"]
        kept = front([row["parameters"] for row in rows], [row["validation_accuracy"] for row in rows])
        assert list(entry.front) == kept
        row = report["fronts"]["methods"][method]["each"][1]
        assert row["parameters"] == [sum(t.numel() for t in weights.values()) for weights in entry.front.values()]
        assert row["paths"] == [rows[i]["path"] for i in kept]
        assert row["validation"] == sorted(set(row["validation"])), "larger ones are better on validation"
        assert entry.facts["chosen"] in kept, "the smallest within one standard error is on the front"


def test_the_networks_of_a_front_answer_as_they_were_trained(done):
    here = arena()
    for method in FRONTED:
        entry = done[0].load(0, method)
        said = rivals.front_answers(here, entry, here.validation)
        for i, probabilities in said.items():
            right = (probabilities.argmax(1) == here.validation.labels.numpy()).mean()
            assert right == pytest.approx(entry.facts["candidates"][i]["validation_accuracy"])


def test_hypervolumes_are_those_of_the_fronts(done):
    fronts = done[1]["fronts"]
    smallest, largest = fronts["reference"]["parameters"]
    assert largest == done[1]["methods"]["full_grid"]["each"][0]["parameters"]
    assert smallest <= min(one["parameters"][0] for row in fronts["methods"].values() for one in row["each"])
    for split in ("validation", "test"):
        floor = fronts["reference"]["accuracy"][split]
        assert floor == pytest.approx(done[1]["methods"]["linear_probe"][split]["accuracy"]["mean"])
        frame = Frame(smallest, largest, floor)
        for method, row in fronts["methods"].items():
            each = [frame.hypervolume(one["parameters"], one[split]) for one in row["each"]]
            assert row["hypervolume"][split]["each"] == pytest.approx(each)
            if method != "evolved":
                gap = fronts["methods"]["evolved"]["hypervolume"][split]["mean"] - np.mean(each)
                assert fronts["against"][split][method]["difference"] == pytest.approx(gap)


def test_the_share_of_the_smallest_that_matches_the_full_grid():
    def method(rate: float, decided: float = 0.1) -> dict[str, Any]:
        """One seed; what it decides with its threshold is another rate, which must not be mixed with the first."""
        each = {"candidates": [{"validation_accuracy": 0.0}, {"validation_accuracy": rate}], "chosen": 1}
        part = {"accuracy": decided, "n": 9}
        each |= {"validation": part, "test": {"accuracy": None, "n": 0}}
        return {"name": "m", "parameters": {"mean": 9}, "validation": {"n": 9}, "test": {"n": 0}, "each": [each]}

    one = {"parameters": [10, 20, 40], "validation": [0.7, 0.8, 0.9]}
    for full, share in ((0.8, 20 / 100), (0.8019, 20 / 100), (0.803, 40 / 100), (0.95, None)):
        methods = {"linear_probe": method(0.5), "full_grid": method(full), "evolved": method(0.9)}
        found = fronts_report({"evolved": [one]}, methods, (10, 100))
        assert found["methods"]["evolved"]["share_within"]["each"] == [share]
        assert found["reference"]["accuracy"] == {"validation": 0.5}, "no test images, no front on test"
        assert found["points"]["full_grid"]["validation"]["each"] == [full]


def test_the_equivalence_is_that_of_evolved_and_full_grid(done):
    found, methods = done[1]["equivalence"], done[1]["methods"]
    for split in ("validation", "test"):
        gap = methods["evolved"][split]["accuracy"]["mean"] - methods["full_grid"][split]["accuracy"]["mean"]
        assert found[split]["difference"] == pytest.approx(gap)
        assert found[split]["p"] is None, "two seeds allow no test"
    own, full = (methods[method]["each"][0]["parameters"] for method in ("evolved", "full_grid"))
    assert found["share"]["each"][0] == pytest.approx(own / full)
    assert any(line.startswith("Against the full grid:") for line in done[1]["verdict"])


def test_what_a_size_buys_by_hand():
    found = bought([10, 40], [0.8, 0.9], np.array([5.0, 10.0, 39.0, 40.0, 99.0]))
    np.testing.assert_array_equal(found, [np.nan, 0.8, 0.8, 0.9, 0.9])


# --- figures, page, table, command ----------------------------------------------------------------------------------


def test_the_figures_are_drawn(done):
    assert [file.name for file in plot_comparison(done[0].folder)] == [
        "comparison.png",
        "comparison.svg",
        "fronts.png",
        "fronts.svg",
    ]


def test_the_page_shows_the_fronts(done, tmp_path):
    folder = shutil.copytree(done[0].folder, tmp_path / "c")
    plot_comparison(folder)
    text = write_page(folder).read_text()
    assert faults(text) == []
    page = Page(text)
    assert "Hypervolume, validation" in page.text("main")
    volume = done[1]["fronts"]["methods"]["ladder"]["hypervolume"]["test"]["mean"]
    assert f"ladder {volume:.4f}" in " ".join(str(one["alt"]) for one in page.all("img"))


def test_the_table_names_every_method_and_the_verdict(done, capsys):
    Terminal().comparison_table(done[1])
    out = capsys.readouterr().out
    for row in done[1]["methods"].values():
        assert f"{row['name']} " in out
    assert max(map(len, out.split("\n")[:14])) <= 80
    assert all(line in out for line in done[1]["verdict"])
    assert spread({"mean": 0.9, "sd": 0.01}) == "0.9000 ±0.0100"
    assert spread({"mean": None, "sd": None}) == "–"


def test_the_command(tmp_path):
    from small_world import pathsearch

    options = ["--encoder", "squeezenet1_1", "--encoder-weights", "random", "--image-size", SIZE, "--seeds", 1]
    small = {
        "grid.n_modules": 3, "grid.max_active": 1, "grid.width": 8, "search.population": 4, "search.generations": 1,
        "search.steps": 2, "search.warmup": 1, "training.epochs": 2, "training.finalists": 1,
    }  # fmt: skip
    given = [word for key, value in small.items() for word in ("--set", f"{key}={value}")]
    where = ["--data-dir", data_dir(), "--runs-dir", tmp_path, "--device", "cpu"]
    command = ["compare", "--task", "blobs", *options, *given, *where, "--json"]
    killed = pathsearch(*command, kill=("pathsearch.compare:Comparison.save", 4))
    assert killed.code == -9
    folder = next(tmp_path.glob("compare-*"))
    assert len(list((folder / "parts").glob("*.safetensors"))) == 3
    found = pathsearch(*command)
    assert found.code == 0, found
    report = json.loads(found.out)
    assert report["folder"] == str(folder)
    assert "nearest neighbours" in found.err
    assert {"config.json", "env.json", "report.json", "comparison.png", "fronts.svg", "parts"} <= {
        file.name for file in folder.iterdir()
    }
    assert pathsearch("plot", folder.name, "--runs-dir", tmp_path).code == 0
