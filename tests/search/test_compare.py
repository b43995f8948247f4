"""A comparison: every method fixed on validation before one look at the test images, resumable, honest in words."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
import torch
from comparisons import SEEDS, chosen, run, timeless
from page_checks import Page, faults
from safetensors import safe_open
from safetensors.torch import save_file
from small_world import SIZE, data_dir, encoder, refused, task

from pathsearch.cli.terminal import Terminal, spread
from pathsearch.encoders.features import Features, Split
from pathsearch.reports.figures import plot_comparison
from pathsearch.reports.report_page import write_page
from pathsearch.run.runs import all_runs, find_run
from pathsearch.run.sums import DUE, SUMS
from pathsearch.run.teller import Silent
from pathsearch.search import comparison, rivals
from pathsearch.search.arena import Budget
from pathsearch.search.comparison import NEEDED, Comparison
from pathsearch.search.rivals import METHODS
from pathsearch.training.bench import Bench

# --- the report -----------------------------------------------------------------------------------------------------


def test_the_report_holds_every_method_at_every_seed(compared):
    comparison, report = compared
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


def test_the_evolved_path_is_that_of_evolve(compared, tmp_path):
    from small_world import evolve

    _, report = evolve(tmp_path / "r", chosen())
    own = compared[1]["methods"]["evolved"]["each"][0]
    assert own["path"] == report["path"]
    for part in ("validation", "test"):
        assert own[part]["confusion"] == report[part]["confusion"]


SEARCHES, DRAWN = ("random_search", "pathnet"), ("random_paths", "ladder", "full_grid", "linear_probe")
EPOCH = 96  # images of one: 72 in minibatches of 32


def assert_equal_budgets(report: dict[str, Any]) -> None:
    """Controls spend the path-images that the evolved path did, and at most one generation or training more."""
    settings = report["budget"]["settings"]
    generation = settings["search"]["population"] * settings["search"]["steps"] * settings["search"]["batch_size"]
    training = settings["training"]["epochs"] * EPOCH
    for place in range(len(report["seeds"])):
        each = {name: row["each"][place]["path_images"] for name, row in report["methods"].items()}
        own = each["evolved"]
        assert report["budget"]["path_images"]["search"][place] == own["search"]
        assert report["budget"]["path_images"]["candidates"][place] == own["candidates"]
        for name in SEARCHES:
            assert own["search"] <= each[name]["search"] < own["search"] + generation, name
            assert each[name]["search"] + each[name]["candidates"] >= own["search"] + own["candidates"], name
        for name in DRAWN:
            assert each[name]["search"] == 0
            assert 0 <= each[name]["candidates"] - own["search"] - own["candidates"] < training, name
        assert sum(each["nearest"].values()) == 0


def test_budgets_are_equal(compared):
    # warm-up 4 + 2 generations of 4 minibatches = 12 of 32 images, each for 8 paths
    report = compared[1]
    each = {name: row["each"][0] for name, row in report["methods"].items()}
    assert report["budget"]["search_images"] == [12 * 32] * SEEDS
    for name in ("evolved", "random_search"):
        assert each[name]["images"]["search"] == 12 * 32
        assert each[name]["path_images"]["search"] == 12 * 32 * 8
    assert each["pathnet"]["images"]["search"] == each["pathnet"]["path_images"]["search"] == 12 * 32 * 8
    assert each["random_search"]["evaluations"] == each["evolved"]["evaluations"] == 16
    assert_equal_budgets(report)


@pytest.mark.parametrize("name", ["random_search", "pathnet", "random_paths", "ladder", "full_grid", "linear_probe"])
def test_an_unequal_budget_is_seen(compared, name):
    report = copy.deepcopy(compared[1])
    stage = "search" if name in SEARCHES else "candidates"
    report["methods"][name]["each"][0]["path_images"][stage] //= 2
    with pytest.raises(AssertionError):
        assert_equal_budgets(report)


def test_every_control_gets_more_candidates_than_there_are_finalists(compared):
    """The ladder has fewer rungs than others have candidates: its rungs come again from other initial weights."""
    report = compared[1]
    for name in DRAWN:
        for one in report["methods"][name]["each"]:
            assert len(one["candidates"]) >= 2 + (12 * 32 * 8) // (4 * EPOCH)
            assert len(one["candidates"]) >= report["budget"]["candidates_without_search"]
    rungs = [(row["path"], row["weights_seed"]) for row in report["methods"]["ladder"]["each"][0]["candidates"]]
    assert len(set(rungs)) == len(rungs) > 4 == len({path for path, _ in rungs})
    assert {seed for _, seed in rungs[:4]} == {0}


def test_all_three_counts_are_told(compared):
    report = compared[1]
    for name, row in report["methods"].items():
        for kind in ("images", "path_images", "operations"):
            each = [sum(one[kind].values()) for one in row["each"]]
            assert row[kind]["each"] == each
            assert (min(each) > 0) == (name != "nearest"), (name, kind)
    # a path's own training: three times the forward multiply-adds, an image
    for name in ("evolved", "random_paths"):
        one = report["methods"][name]["each"][0]
        assert one["operations"]["candidates"] % 3 == 0
        assert one["images"]["candidates"] == one["path_images"]["candidates"]
    shared, alone = (report["methods"][name]["each"][0] for name in ("random_search", "pathnet"))
    assert shared["operations"]["search"] < alone["operations"]["search"], "what paths share in a pass runs once"
    (line,) = [line for line in report["verdict"] if line.startswith("Budget: ")]
    seen = report["methods"]["pathnet"]["path_images"]["mean"]
    assert f"sequential PathNet {seen:,.0f} (" in line
    assert "images" in line
    assert "operations" in line


def test_fresh_weights_have_equal_budgets_too(tmp_path):
    """Known paths cost an evolved search nothing, and random search may not spend what it saved."""
    report = run(tmp_path, chosen(weights="fresh", warmup=0), seeds=1)[1]
    own = report["methods"]["evolved"]["each"][0]["path_images"]["search"]
    assert own < 2 * 8 * 4 * 32, "looked up, or this shows nothing"
    assert_equal_budgets(report)


def test_the_same_rule_chooses_everywhere(compared):
    for method in ("evolved", "random_search", "pathnet", "random_paths", "ladder"):
        for one in compared[1]["methods"][method]["each"]:
            rows, n = one["candidates"], one["validation"]["n"]
            best, chosen = max(row["validation_accuracy"] for row in rows), rows[one["chosen"]]
            assert chosen["parameters"] == one["parameters"]
            # the paired error of a difference d is at most that of answers which never agree: (d and n + 1 over n) / n
            assert best - chosen["validation_accuracy"] <= np.sqrt((1 + 1 / n) / n) + 1e-9
            better = [row for row in rows if row["validation_accuracy"] > chosen["validation_accuracy"]]
            assert all(row["parameters"] > chosen["parameters"] for row in better), (
                "none that is both better and smaller"
            )


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


def test_an_interrupted_comparison_goes_on_to_the_same_report(compared, tmp_path, monkeypatch):
    comparison, report = compared
    made: list[tuple[str, int]] = []
    folder = tmp_path / comparison.folder.name
    shutil.copytree(comparison.folder, folder)
    again = Comparison(folder)
    again.report_file.unlink()
    for lost in ((0, "pathnet"), (1, "nearest")):
        again.part(*lost).unlink()
    original = rivals.enter

    def enter(bench: Bench, method: str, budget: Budget | None = None) -> rivals.Entry:
        made.append((method, bench.seed))
        return original(bench, method, budget)

    monkeypatch.setattr(rivals, "enter", enter)
    found = run(tmp_path)[1]
    assert made == [("pathnet", 0), ("nearest", 1)]
    assert timeless(found) == timeless(report)


def test_parts_made_beside_each_other_are_the_same(compared, tmp_path, monkeypatch):
    monkeypatch.setattr("pathsearch.search.compare.processes_for", lambda *_: 2)
    assert timeless(run(tmp_path)[1]) == timeless(compared[1])


def test_a_later_first_seed_gives_the_parts_of_that_seed(compared, tmp_path):
    (comparison, _), (later, report) = compared, run(tmp_path, replace(chosen(), seed=1), seeds=1)
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

    def enter(bench: Bench, method: str, budget: Budget | None = None) -> rivals.Entry:
        seen[bench.seed, method] = [split.rows[0].tolist() for split in (bench.training, bench.validation)]
        return original(bench, method, budget)

    monkeypatch.setattr(rivals, "enter", enter)
    few = chosen(images_per_class=6, steps=1, warmup=1)
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
    others = [name for name in METHODS if name not in NEEDED]
    own = run(tmp_path, few, without=others)[1]["methods"]["evolved"]["each"][1]
    _, report = evolve(tmp_path / "r", replace(few, seed=1))
    assert own["path"] == report["path"]
    assert "only 6 training images" in report["split_in_words"]
    for part in ("validation", "test"):
        assert own[part]["confusion"] == report[part]["confusion"]


def test_a_damaged_part_is_named(compared, tmp_path):
    comparison = Comparison(tmp_path / "c")
    comparison.part(0, "ladder").parent.mkdir(parents=True)
    comparison.part(0, "ladder").write_bytes(compared[0].part(0, "ladder").read_bytes()[:100])
    with refused(r"part .*s0-ladder.safetensors: cannot be read .*remove it to make it again"):
        comparison.load(0, "ladder")
    assert comparison.load(0, "evolved") is None


def test_a_part_of_an_earlier_version_is_named(compared, tmp_path):
    comparison = Comparison(tmp_path / "c")
    file = comparison.part(0, "ladder")
    file.parent.mkdir(parents=True)
    with safe_open(compared[0].part(0, "ladder"), "pt") as opened:
        save_file({"log_p": opened.get_tensor("log_p")}, file, metadata={"part": "{}", "form": "3"})
    with refused(
        r"part .*s0-ladder.safetensors: damaged, or written by an earlier version; remove it to make it again"
    ):
        comparison.load(0, "ladder")


def test_a_part_of_another_seed_is_named(compared, tmp_path):
    comparison = Comparison(tmp_path / "c")
    comparison.part(0, "ladder").parent.mkdir(parents=True)
    shutil.copy(compared[0].part(1, "ladder"), comparison.part(0, "ladder"))
    with refused(r"part .*s0-ladder.safetensors: belongs to other .*remove it to make it again"):
        comparison.load(0, "ladder")


def test_changed_files_of_a_finished_comparison_are_refused(compared, tmp_path):
    folder = tmp_path / compared[0].folder.name
    shutil.copytree(compared[0].folder, folder)
    whole = (folder / "report.json").read_text()
    (folder / "report.json").write_text(whole.replace('"ladder"', '"laddes"', 1))
    with refused(r"report.json: differs from its digest in SHA256SUMS.*remove report.json and give the same command"):
        run(tmp_path)
    (folder / "report.json").write_text(whole)
    (folder / SUMS).unlink()
    with refused(r"SHA256SUMS: expected a file, got none"):
        comparison.read(folder)
    assert not Comparison(folder).finished
    found = json.loads(whole)
    del found[DUE]
    (folder / "report.json").write_text(json.dumps(found))
    assert comparison.read(folder) == found, "one of an earlier version has no digests"
    assert Comparison(folder).finished


def test_other_settings_get_another_directory(tmp_path):
    one = chosen()
    others = [(one, 3), (chosen(views=2), 2), (replace(one, data="other"), 2), (chosen(epochs=5), 2)]
    names = {Comparison.of(tmp_path, of, seeds, encoder()).folder.name for of, seeds in [(one, 2), *others]}
    assert len(names) == 5
    assert Comparison.of(tmp_path, chosen(), 2, encoder()).folder.name in names, "the same settings find it again"
    assert all(name.startswith("compare-blobs-random-") for name in names)
    with refused("--seeds: expected at least 1, got 0"):
        Comparison.of(tmp_path, chosen(), 0, encoder())


def test_a_comparison_is_no_run(compared):
    folder = compared[0].folder
    assert all_runs(folder.parent) == []
    with refused("run compare-.* not found"):
        find_run(folder.parent, folder.name)


def test_two_processes_share_the_work(compared, tmp_path, monkeypatch):
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
                shutil.copy(compared[0].part(seed, method), comparison.part(seed, method))

    def spy(where: Bench, method: str, budget: Budget | None = None) -> Any:
        made.append((where.seed, method))
        return enter(where, method, budget)

    class Waiter(Silent):
        def stage(self, name: str, total: int) -> None:
            if len(made) == len(METHODS) - 1:  # seed 1; what seed 0 may spend is not known before its evolved path
                waits.set()

    claimed, waits = Event(), Event()
    monkeypatch.setattr(rivals, "enter", spy)
    rival = Thread(target=other)
    rival.start()
    assert claimed.wait(60)
    report = run(tmp_path, tell=Waiter())[1]
    rival.join()
    assert sorted(made) == sorted({(s, m) for s in range(SEEDS) for m in METHODS} - set(mine))
    assert timeless(report) == timeless(compared[1])


def test_a_claim_is_for_one_process_only(compared):
    with compared[0].claim("x", wait=False) as first, compared[0].claim("x", wait=False) as second:
        assert (first, second) == (True, False)
    with compared[0].claim("x", wait=False) as third:
        assert third


# --- figures, page, table, command ----------------------------------------------------------------------------------


def test_the_figures_are_drawn(compared):
    assert [file.name for file in plot_comparison(compared[0].folder)] == [
        "comparison.png",
        "comparison.svg",
        "fronts.png",
        "fronts.svg",
    ]


def test_the_page_shows_the_fronts(compared, tmp_path):
    folder = shutil.copytree(compared[0].folder, tmp_path / "c")
    plot_comparison(folder)
    text = write_page(folder).read_text()
    assert faults(text) == []
    page = Page(text)
    assert "Hypervolume, validation" in page.text("main")
    volume = compared[1]["fronts"]["methods"]["ladder"]["hypervolume"]["test"]["mean"]
    assert f"ladder {volume:.4f}" in " ".join(str(one["alt"]) for one in page.all("img"))


def test_the_table_names_every_method_and_the_verdict(compared, capsys):
    Terminal().comparison_table(compared[1])
    out = capsys.readouterr().out
    for row in compared[1]["methods"].values():
        assert f"{row['name']} " in out
    assert max(map(len, out.split("\n")[:14])) <= 80
    assert all(line in out for line in compared[1]["verdict"])
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
    killed = pathsearch(*command, kill=("pathsearch.search.compare:Comparison.save", 4))
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
