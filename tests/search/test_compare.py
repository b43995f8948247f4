"""A comparison: every method fixed on validation before one look at the test images, resumable, honest in words."""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from comparisons import SEEDS, bench, chosen, run
from page_checks import Page, faults
from small_world import SIZE, data_dir

from pathsearch.cli.terminal import Terminal, spread
from pathsearch.reports.figures import plot_comparison
from pathsearch.reports.report_page import write_page
from pathsearch.search.rivals import METHODS

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
    rule = f"within one standard error of the best on {len(bench().validation)} validation images) for all"
    assert rule in report["budget"]["in_words"]
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


def test_a_grid_of_one_module_a_layer_is_compared(tmp_path):
    """It has one path, so that all of its searches know every path at once."""
    of = chosen(steps=1, epochs=1)
    comparison, report = run(tmp_path, replace(of, grid=replace(of.grid, n_modules=1, max_active=1)), seeds=1)
    assert {row["each"][0]["path"] for name, row in report["methods"].items() if name in SEARCHES} == {"0|0|0"}
    assert report["fronts"]["methods"]["evolved"]["hypervolume"]["test"]["mean"] == 0
    assert plot_comparison(comparison.folder)
    assert write_page(comparison.folder, data_dir()).is_file()


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
    from command_world import pathsearch

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
