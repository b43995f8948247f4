"""Fronts of accuracy against size, kept with their networks; their hypervolume; whether the full grid is matched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from comparisons import bench
from small_world import task

from pathsearch.measures.fronts import Frame, front
from pathsearch.reports.figure_fronts import bought
from pathsearch.search import rivals
from pathsearch.search.rivals import METHODS
from pathsearch.search.tradeoff import FRONTED, fronts_report
from pathsearch.targets.classes import probabilities

# --- fronts ---------------------------------------------------------------------------------------------------------


def test_every_front_is_kept_with_its_networks(compared):
    comparison, report = compared
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


def test_the_networks_of_a_front_answer_as_they_were_trained(compared):
    here = bench()
    for method in FRONTED:
        entry = compared[0].load(0, method)
        said = rivals.front_answers(here, entry, here.validation)
        for i, one in said.items():
            right = (probabilities(one).argmax(1) == here.validation.truth.numpy()).mean()
            assert right == pytest.approx(entry.facts["candidates"][i]["validation_accuracy"])


def test_hypervolumes_are_those_of_the_fronts(compared):
    fronts = compared[1]["fronts"]
    smallest, largest = fronts["reference"]["parameters"]
    assert largest == compared[1]["methods"]["full_grid"]["each"][0]["parameters"]
    assert smallest <= min(one["parameters"][0] for row in fronts["methods"].values() for one in row["each"])
    for split in ("validation", "test"):
        floor = fronts["reference"]["accuracy"][split]
        assert floor == pytest.approx(compared[1]["methods"]["linear_probe"][split]["accuracy"]["mean"])
        frame = Frame(smallest, largest, floor)
        for method, row in fronts["methods"].items():
            each = [frame.hypervolume(one["parameters"], one[split]) for one in row["each"]]
            assert row["hypervolume"][split]["each"] == pytest.approx(each)
            if method != "evolved":
                gap = fronts["methods"]["evolved"]["hypervolume"][split]["mean"] - np.mean(each)
                assert fronts["against"][split][method]["difference"] == pytest.approx(gap)


def test_above_the_largest_class_small_networks_count_too(compared):
    fronts = compared[1]["fronts"]
    above = fronts["above_largest_class"]
    for split in ("validation", "test"):
        labels = task("blobs").labels({"validation": "val", "test": "test"}[split])
        floor = above["accuracy"][split]
        assert floor == pytest.approx(np.bincount(labels).max() / len(labels))
        frame = Frame(*fronts["reference"]["parameters"], floor)
        for method, row in fronts["methods"].items():
            each = [frame.hypervolume(one["parameters"], one[split]) for one in row["each"]]
            assert above["hypervolume"][method][split]["each"] == pytest.approx(each)
        assert set(above["against"][split]) == set(FRONTED) - {"evolved"}


def test_the_share_of_the_smallest_that_matches_the_full_grid():
    def method(rate: float, decided: float = 0.1) -> dict[str, Any]:
        """One seed; what it decides with its threshold is another rate, which must not be mixed with the first."""
        each = {"candidates": [{"validation_accuracy": 0.0}, {"validation_accuracy": rate}], "chosen": 1}
        part = {
            "accuracy": decided,
            "n": 9,
        }
        each |= {"validation": part, "test": {"accuracy": None, "n": 0}}
        return {"name": "m", "parameters": {"mean": 9}, "validation": {"n": 9}, "test": {"n": 0}, "each": [each]}

    one = {"parameters": [10, 20, 40], "validation": [0.7, 0.8, 0.9]}
    for full, share in ((0.8, 20 / 100), (0.8019, 20 / 100), (0.803, 40 / 100), (0.95, None)):
        methods = {"linear_probe": method(0.5), "full_grid": method(full), "evolved": method(0.9)}
        found = fronts_report({"evolved": [one]}, methods, (10, 100), {"validation": 6 / 9, "test": 0.0})
        assert found["methods"]["evolved"]["share_within"]["each"] == [share]
        assert found["reference"]["accuracy"] == {"validation": 0.5}, "no test images, no front on test"
        assert found["above_largest_class"]["accuracy"] == {"validation": 6 / 9}
        assert found["points"]["full_grid"]["validation"]["each"] == [full]


def test_the_equivalence_is_that_of_evolved_and_full_grid(compared):
    found, methods = compared[1]["equivalence"], compared[1]["methods"]
    for split in ("validation", "test"):
        gap = methods["evolved"][split]["accuracy"]["mean"] - methods["full_grid"][split]["accuracy"]["mean"]
        assert found[split]["difference"] == pytest.approx(gap)
        assert found[split]["p"] is None, "two seeds allow no test"
    own, full = (methods[method]["each"][0]["parameters"] for method in ("evolved", "full_grid"))
    assert found["share"]["each"][0] == pytest.approx(own / full)
    assert any(line.startswith("Against the full grid:") for line in compared[1]["verdict"])


def test_what_a_size_buys_by_hand():
    found = bought([10, 40], [0.8, 0.9], np.array([5.0, 10.0, 39.0, 40.0, 99.0]))
    np.testing.assert_array_equal(found, [np.nan, 0.8, 0.8, 0.9, 0.9])
