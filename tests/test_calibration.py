"""Promised and observed rejection: counted by hand, honest where the test images have moved."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from small_world import CPU, data_dir, finished

from pathsearch import joint
from pathsearch.calibration import RATES, calibration
from pathsearch.figures import plot_joint
from pathsearch.intervals import wilson
from pathsearch.router import Territory
from pathsearch.teller import Silent


def ruler(n: int = 1000) -> Territory:
    """On a line: the distance of x is x², and the validation images lie at the roots of 1 to n."""
    one = torch.ones(1, 1, dtype=torch.float64)
    return Territory(torch.zeros(1, 1).double(), one, 0.0, float(n), torch.arange(1, n + 1).double())


def at(*distances: float) -> torch.Tensor:
    return torch.tensor(distances, dtype=torch.float64).sqrt()[:, None]


def test_golden_values():
    # of 1,000 validation distances 1 … 1000 the rates 0.5, 1, 2, 5, 10 % leave 5, 10, 20, 50, 100 beyond
    found = calibration({"a": ruler()}, {"a": at(1, 899, 901, 951, 981, 991, 996, 2000)})["a"]
    assert found["promised"] == list(RATES) == [0.005, 0.01, 0.02, 0.05, 0.1]
    assert [round(8 * share) for share in found["observed"]] == [2, 3, 4, 5, 6]
    assert found["ci95"][0] == list(wilson(2, 8))
    assert (found["n_validation"], found["n_test"]) == (1000, 8)


def check_calibrated(row: dict) -> None:
    """Every promised rate lies within the observed one's interval."""
    for promised, (low, high) in zip(row["promised"], row["ci95"], strict=True):
        assert low <= promised <= high


def test_equal_images_are_calibrated_and_moved_ones_are_seen():
    rng = np.random.default_rng(0)
    scale = torch.from_numpy(rng.uniform(0, 1000, 4000))
    check_calibrated(calibration({"a": ruler()}, {"a": at(*scale.tolist())})["a"])
    with pytest.raises(AssertionError):
        check_calibrated(calibration({"a": ruler()}, {"a": at(*(1.2 * scale).tolist())})["a"])


def test_images_of_one_patient_are_not_counted_one_by_one():
    distances = at(*([1.0] * 60 + [2000.0] * 20))
    by_image = calibration({"a": ruler()}, {"a": distances}, {"a": np.full(80, "")})["a"]
    by_group = calibration({"a": ruler()}, {"a": distances}, {"a": np.repeat(list("wxyz"), 20)})["a"]
    assert by_image["ci95"][0] == list(wilson(20, 80))
    assert by_group["observed"] == by_image["observed"]
    assert np.diff(by_group["ci95"][0]) > 1.5 * np.diff(by_image["ci95"][0])


def test_nothing_is_said_where_nothing_is_known():
    old = Territory(torch.zeros(1, 1).double(), torch.ones(1, 1).double(), 0.0, 9.0)
    assert calibration({"a": old, "b": ruler()}, {"a": at(1), "b": at()}) == {"a": None, "b": None}


def test_the_joint_report_and_its_figure(tmp_path):
    runs = [finished("stripes"), finished("blobs")]
    reports = [
        joint.joint_evaluate(runs, data_dir(), data_dir() / "features", CPU, 0, Silent(), rate) for rate in (0.01, 0.2)
    ]
    usual, generous = reports
    assert usual["calibration"] == generous["calibration"], "whatever rate is chosen"
    assert (usual["false_rejection_on_validation"], generous["false_rejection_on_validation"]) == (0.01, 0.2)
    assert generous["routing"]["unknown"] > usual["routing"]["unknown"]
    for name, row in generous["routing"]["rejected"].items():
        routed = generous["tasks"][name]["routed"]
        assert row["share"] == routed["unknown"] / routed["n"]
        assert row["ci95"] == list(wilson(routed["unknown"], routed["n"]))
    (tmp_path / "report.json").write_text(json.dumps(usual, allow_nan=False))
    assert {"rejection.png", "rejection.svg"} <= {file.name for file in plot_joint(tmp_path)}
