"""Calibration by hand, and a planted overconfidence that the temperature must find."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from small_world import finished, refused

from pathsearch.figures import plot_run
from pathsearch.reliability import assess, at_temperature, calibration, fit_temperature


def two(second: list[float]) -> np.ndarray:
    return np.stack([1 - np.array(second), np.array(second)], axis=1)


def test_golden_values():
    # Confidences 0.9, 0.9, 0.6, 0.6; right, wrong, right, right. Bin 14 (0.867 … 0.933]: |0.5 - 0.9| = 0.4;
    # 0.6 = 9/15 is the upper edge of bin 9: |1 - 0.6| = 0.4. ECE 0.4.
    # Brier: 2 · 0.1² = 0.02, 2 · 0.9² = 1.62, 2 · 0.4² = 0.32 twice: 2.28 / 4 = 0.57.
    found = assess(two([0.9, 0.9, 0.6, 0.4]), np.array([1, 0, 1, 0]))
    assert found["ece"] == pytest.approx(0.4)
    assert found["brier"] == pytest.approx(0.57)
    assert found["nll"] == pytest.approx(-(math.log(0.9) + math.log(0.1) + 2 * math.log(0.6)) / 4)
    count, confidence, accuracy = (found["bins"][name] for name in ("count", "confidence", "accuracy"))
    assert {i: n for i, n in enumerate(count) if n} == {8: 2, 13: 2}
    assert (confidence[13], accuracy[13], accuracy[8]) == (pytest.approx(0.9), 0.5, 1.0)
    assert confidence[0] is None


def test_sure_and_right_is_no_error():
    assert assess(two([1.0, 0.0]), np.array([1, 0]))["ece"] == 0
    assert assess(two([1.0, 0.0]), np.array([0, 1])) | {"bins": {}} == {
        "ece": 1.0,
        "brier": 2.0,
        "nll": pytest.approx(-math.log(np.finfo(float).tiny)),  # a zero counts as the smallest number
        "bins": {},
    }


def test_a_temperature_by_hand():
    # logit of 0.9 is ln 9; halved it is ln 3: 3 / 4
    assert at_temperature(two([0.9]), 2.0) == pytest.approx(two([0.75]))
    assert at_temperature(two([0.9, 0.2]), 1.0) == pytest.approx(two([0.9, 0.2]))


def planted(sharpness: float, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Three classes drawn from known probabilities, and those probabilities with logits times `sharpness`."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n, 3)) * 1.5
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (rng.uniform(size=n)[:, None] > p.cumsum(1)).sum(1).clip(0, 2)
    return labels, at_temperature(p, 1 / sharpness)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_a_planted_temperature_is_found(sharpness):
    labels, p = planted(sharpness)
    assert fit_temperature(p, labels) == pytest.approx(sharpness, rel=0.06)  # 4,000 images know it to a few percent
    found = calibration((labels, p), planted(sharpness))
    for split in ("validation", "test"):
        assert found[split]["after"]["ece"] < 0.02
        assert found[split]["after"]["nll"] <= found[split]["before"]["nll"] + 1e-9
    assert (found["validation"]["before"]["ece"] > 0.05) == (sharpness != 1)
    assert found["fitted"]


def test_the_most_probable_class_stays():
    _, p = planted(3.0)
    for temperature in (0.05, 0.7, 20):
        assert (at_temperature(p, temperature).argmax(1) == p.argmax(1)).all()


def test_a_validation_set_without_mistakes_is_said():
    found = calibration((np.array([1, 0]), two([0.9, 0.1])), (np.zeros(0, int), np.zeros((0, 2))))
    assert (found["temperature"], found["fitted"]) == (1.0, False)
    assert found["validation"]["before"]["nll"] == pytest.approx(found["validation"]["after"]["nll"])
    assert found["test"] is None
    with refused("temperature: expected validation images, got none"):
        fit_temperature(np.zeros((0, 2)), np.zeros(0, int))


def test_the_run_reports_it_and_draws_it(tmp_path):
    report = finished("stripes").report()
    found = report["calibration"]
    for split, part in (("validation", report["validation"]), ("test", report["test"])):
        assert found[split]["n"] == part["n"]
        assert sum(found[split]["before"]["bins"]["count"]) == part["n"]
        assert found[split]["before"]["nll"] == pytest.approx(-part["log_likelihood"])
    assert found["validation"]["after"]["nll"] <= found["validation"]["before"]["nll"]
    (tmp_path / "report.json").write_text(json.dumps(report))
    assert {"reliability.png", "reliability.svg"} <= {file.name for file in plot_run(tmp_path)}
    del report["calibration"]  # an older run
    old = tmp_path / "old"
    old.mkdir()
    (old / "report.json").write_text(json.dumps(report))
    assert "reliability.png" not in {file.name for file in plot_run(old)}


def test_mcnemar_of_a_run_adds_up():
    report = finished("blobs").report()
    for name, row in report["mcnemar"].items():
        baseline = report["baselines"][name]
        for one, other in zip(row.get("each", [row]), baseline.get("each", [baseline]), strict=True):
            assert one["n"] == report["test"]["n"]
            gap = report["test"]["accuracy"] - other["test"]["accuracy"]
            assert (one["b"] - one["c"]) / one["n"] == pytest.approx(gap)
            assert one["path"] == other["path"]
    assert "McNemar's exact test" in report["verdict"][0]
    assert set(report["prior_shift"]["shares"]) == {"train", "val", "test"}
    assert report["prior_shift"]["shares"]["test"] == {"small": 0.5, "large": 0.5}
