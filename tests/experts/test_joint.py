"""The joint evaluation: counts that add up, answers that depend on no order, runs that fit together."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
import torch
from joined import NAMES, evaluate
from small_world import CPU, data_dir, encoder, finished, prepare, refused, task

from data_prep.task_form import with_digest
from pathsearch.encoders.features import encode
from pathsearch.experts.expert import Expert
from pathsearch.experts.mixture import answer
from pathsearch.experts.model import Model
from pathsearch.experts.router import UNKNOWN
from pathsearch.run.runs import Run
from pathsearch.run.teller import Silent

ALL = ["stripes: falling", "stripes: flat", "stripes: rising", "blobs: large", "blobs: small"]


class Planned:
    """A router that sends every image of a task where it is told to, whatever the image."""

    def __init__(self, plan: dict[str, int], territories: dict[str, Any]) -> None:
        self.tasks = list(NAMES)
        self.territories = territories
        self.stream: list[int] = []  # what was routed, in order
        self.plan = {
            row.numpy().tobytes(): plan[name]
            for name in NAMES
            for row in encode(task(name), encoder(), data_dir() / "features").test().pooled()
        }

    def route(self, pooled: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        sent = np.array([self.plan[row.numpy().tobytes()] for row in pooled])
        self.stream += sent.tolist()
        return sent, np.where(sent == UNKNOWN, 2.0, 0.5)


def planned(monkeypatch, **plan: int) -> dict[str, Any]:
    routers: list[Planned] = []

    def stand_in(territories: dict[str, Any]) -> Planned:
        routers.append(Planned(plan, territories))
        return routers[-1]

    monkeypatch.setattr("pathsearch.experts.model.Router", stand_in)
    return {**evaluate(), "stream": routers[-1].stream}


def right(rates: dict[str, Any]) -> int:
    return round(rates["accuracy"] * rates["n"])


def check_consistent(report: dict[str, Any]) -> None:
    """Everything that must hold between the numbers of a joint report."""
    total = sum(row["routed"]["n"] for row in report["tasks"].values())
    assert report["overall"]["n"] == report["routing"]["n"] == total
    # tasks add up to the whole
    assert right(report["overall"]) == sum(right(row["routed"]) for row in report["tasks"].values())
    assert report["overall"]["oracle_accuracy"] * total == pytest.approx(
        sum(right(row["oracle"]) for row in report["tasks"].values())
    )
    assert report["routing"]["unknown"] == sum(row["routed"]["unknown"] for row in report["tasks"].values())
    for row in report["tasks"].values():
        assert row["routed"]["n"] == row["oracle"]["n"]
        # an image is right with routing exactly if its own expert is right and it got there
        assert right(row["routed"]) == right(row["oracle"]) - row["lost_by_routing"]["images"]
        assert 0 <= row["lost_by_routing"]["of_them_unknown"] <= row["lost_by_routing"]["images"]
        assert row["lost_by_routing"]["of_them_unknown"] <= row["routed"]["unknown"]
    # tables add up to the numbers beside them
    sent = np.array(report["routing"]["confusion"])
    assert sent.sum(1).tolist() == [row["routed"]["n"] for row in report["tasks"].values()]
    assert sent[:, -1].sum() == report["routing"]["unknown"]
    assert report["routing"]["accuracy_unknown_wrong"] == pytest.approx(np.trace(sent) / total)
    if sent[:, :-1].sum():
        assert report["routing"]["accuracy"] == pytest.approx(np.trace(sent) / sent[:, :-1].sum())
    counts = np.array(report["confusion"]["counts"])
    assert counts.sum() == total
    assert np.trace(counts) == right(report["overall"])
    assert counts[:, -1].sum() == report["routing"]["unknown"]


# --- the contract ---------------------------------------------------------------------------------------------------


def test_report_has_the_promised_fields(report):
    assert {"overall", "tasks", "routing"} <= set(report)
    assert set(report["tasks"]) == set(NAMES)
    for row in report["tasks"].values():
        for side in ("routed", "oracle"):
            assert {"n", "accuracy", "recall", "balanced_accuracy", "auc", "confusion", "ci95"} <= set(row[side])
    assert {"accuracy", "unknown", "confusion"} <= set(report["routing"])
    assert {"accuracy", "recall", "confusion", "ci95"} <= set(report["overall"])
    assert report["confusion"]["rows"] == ALL
    assert report["confusion"]["columns"] == [*ALL, "unknown"]
    assert report["routing"]["columns"] == [*NAMES, "unknown"]
    assert report["runs"] == {"stripes": "stripes", "blobs": "blobs"}
    assert all("random" in words for words in report["splits"].values())
    assert report["encoder"]["key"] == encoder().key


def test_numbers_are_consistent(report):
    check_consistent(report)


@pytest.mark.parametrize("place", ["tasks.stripes.routed.accuracy", "routing.unknown", "confusion.counts.0.0"])
def test_check_consistent_sees_one_wrong_number(report, place):
    *owners, last = [int(key) if key.isdigit() else key for key in place.split(".")]
    owner = report
    for key in owners:
        owner = owner[key]
    owner[last] += 1
    with pytest.raises(AssertionError):
        check_consistent(report)


def test_oracle_results_are_those_of_the_runs_own_test(report):
    for name in NAMES:
        own = finished(name).report()["test"]
        assert report["tasks"][name]["oracle"]["accuracy"] == pytest.approx(own["accuracy"])
        assert report["tasks"][name]["oracle"]["confusion"] == own["confusion"]


def test_most_images_find_their_task(report):
    assert report["routing"]["accuracy"] > 0.8


# --- planned routing ------------------------------------------------------------------------------------------------


def test_perfect_routing_is_the_oracle(monkeypatch):
    report = planned(monkeypatch, stripes=0, blobs=1)
    check_consistent(report)
    for row in report["tasks"].values():
        routed = {key: value for key, value in row["routed"].items() if key != "unknown"}
        for key in ("n", "accuracy", "recall", "confusion"):
            assert routed[key] == row["oracle"][key]
        assert routed["auc"] == pytest.approx(row["oracle"]["auc"])
        assert row["lost_by_routing"] == {"images": 0, "of_them_unknown": 0}
    assert report["routing"]["accuracy"] == 1
    assert report["routing"]["unknown"] == 0


def test_the_stream_is_mixed(monkeypatch):
    stream = planned(monkeypatch, stripes=0, blobs=1)["stream"]
    assert sorted(stream) == [0] * 24 + [1] * 24
    assert 5 < sum(stream[:24]) < 19


def test_all_unknown_is_all_wrong(monkeypatch):
    report = planned(monkeypatch, stripes=UNKNOWN, blobs=UNKNOWN)
    check_consistent(report)
    assert report["overall"]["accuracy"] == 0
    assert report["routing"]["accuracy"] is None
    assert report["routing"]["unknown_share"] == 1
    assert all(row["oracle"]["accuracy"] > 0.3 for row in report["tasks"].values())
    json.dumps(report, allow_nan=False)


def test_crossed_routing_is_all_wrong_and_nothing_unknown(monkeypatch):
    report = planned(monkeypatch, stripes=1, blobs=0)
    check_consistent(report)
    assert report["overall"]["accuracy"] == report["routing"]["accuracy"] == 0
    assert report["routing"]["unknown"] == 0
    counts = np.array(report["confusion"]["counts"])
    assert counts[:3, :3].sum() == counts[3:, 3:].sum() == 0


def test_one_task_unknown_leaves_the_other_alone(monkeypatch):
    report = planned(monkeypatch, stripes=UNKNOWN, blobs=1)
    check_consistent(report)
    blobs = report["tasks"]["blobs"]
    assert blobs["routed"]["accuracy"] == blobs["oracle"]["accuracy"]
    assert report["tasks"]["stripes"]["routed"]["unknown"] == 24
    lost = report["tasks"]["stripes"]["lost_by_routing"]
    assert lost["images"] == lost["of_them_unknown"] == right(report["tasks"]["stripes"]["oracle"])


# --- work ---------------------------------------------------------------------------------------------------------


def asked(monkeypatch) -> dict[str, int]:
    """Images that each task's expert was asked about, from here on."""
    counts = dict.fromkeys(NAMES, 0)
    original = Expert.probabilities

    def counting(self: Expert, maps: torch.Tensor) -> np.ndarray:
        counts[self.facts.task] += len(maps)
        return original(self, maps)

    monkeypatch.setattr(Expert, "probabilities", counting)
    return counts


def test_an_image_at_home_is_answered_once(monkeypatch):
    counts = asked(monkeypatch)
    planned(monkeypatch, stripes=0, blobs=1)
    assert counts == {"stripes": 24, "blobs": 24}


def test_an_image_astray_is_answered_once_more_and_an_unknown_one_is_not(monkeypatch):
    counts = asked(monkeypatch)
    planned(monkeypatch, stripes=1, blobs=UNKNOWN)
    assert counts == {"stripes": 24, "blobs": 24 + 24}


def test_answers_have_no_column_for_the_classes_of_other_tasks():
    tests = {name: encode(task(name), encoder(), data_dir() / "features").test() for name in NAMES}
    model = Model.of([finished(name) for name in NAMES], CPU)
    given = answer(tests, model.experts, model.router, 0, Silent())
    assert {name: rows.shape for name, rows in given.oracle.items()} == {"stripes": (24, 3), "blobs": (24, 2)}
    whole = given.probabilities(5)
    assert whole.shape == (48, 5)
    said, sure = (np.concatenate(list(each.values())) for each in (given.predictions, given.sure))
    told = said != UNKNOWN
    assert np.array_equal(whole[np.arange(48), said][told], sure[told])
    np.testing.assert_allclose(whole.sum(1), told)


# --- order ----------------------------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """A report without intervals, whose bootstrap has a seed, and rounded: batches differ in the last bits."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items() if key not in ("ci95", "seed")}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return round(value, 5) if isinstance(value, float) else value


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_the_mixture_changes_no_answer(report, seed, monkeypatch):
    monkeypatch.setattr("pathsearch.experts.mixture.CHUNK", 7)
    assert plain(evaluate(seed=seed)) == plain(report)


def test_the_order_of_the_runs_changes_no_answer(report):
    turned = evaluate([finished("blobs"), finished("stripes")])
    check_consistent(turned)
    assert plain(turned["tasks"]["blobs"]) == plain(report["tasks"]["blobs"])
    assert turned["overall"]["accuracy"] == report["overall"]["accuracy"]


def test_one_run_alone_is_a_joint_evaluation_too():
    report = evaluate([finished("blobs")])
    check_consistent(report)
    assert report["overall"]["n"] == 24


# --- refusals -------------------------------------------------------------------------------------------------------


def rewrite(run: Run, **changes: Any) -> None:
    report = run.report()
    run.report_file.write_text(json.dumps(copy.deepcopy(report) | changes))
    run.seal()


def test_different_encoders_are_refused(runs):
    rewrite(runs[0], encoder={**runs[0].report()["encoder"], "key": "another", "weights": "ImageNet"})
    with refused("expected runs that share one encoder, got stripes: squeezenet1_1, ImageNet, 48 px; blobs: .*random"):
        evaluate(runs)


def test_the_same_task_twice_is_refused(runs, tmp_path):
    with refused("run stripes: task 'stripes' is named twice; give one run a task"):
        evaluate([finished("stripes"), runs[0]])


def test_encoders_that_differ_in_one_thing_are_told_apart(runs):
    rewrite(runs[0], encoder={**runs[0].report()["encoder"], "key": "another", "precision": "bfloat16"})
    words = "squeezenet1_1, random .*, 48 px, precision"
    with refused(f"got stripes: {words} bfloat16; blobs: {words} float32; evolve them alike"):
        evaluate(runs)


def test_an_unfinished_run_is_refused(runs):
    for file in (runs[1].report_file, runs[1].sums_file):
        file.unlink()
    with refused("run blobs: not finished; go on with it: pathsearch evolve .* --resume"):
        evaluate(runs)


def test_encoder_weights_that_changed_since_are_refused(runs):
    for run in runs:
        rewrite(run, encoder={**run.report()["encoder"], "key": "before"})
    with refused("run stripes: its encoder had random .*the same settings now give .*put the old weights back"):
        evaluate(runs)


def test_a_task_that_was_prepared_differently_since_is_refused(tmp_path):
    prepare(tmp_path, "blobs", seed=1)
    with refused("run blobs: task 'blobs' was prepared differently since.*may have trained the expert"):
        evaluate([finished("blobs")], data=tmp_path)


def test_classes_in_another_order_are_refused(tmp_path):
    prepared = prepare(tmp_path, "blobs")
    assert prepared.digest == task("blobs").digest
    info_file = prepared.task_dir / "task.json"
    info = json.loads(info_file.read_text())
    info_file.write_text(json.dumps(with_digest({**info, "classes": info["classes"][::-1]})))
    with refused("task 'blobs' was prepared differently since"):
        evaluate([finished("blobs")], data=tmp_path)


def test_other_images_under_the_same_manifest_are_refused(tmp_path):
    prepared = prepare(tmp_path, "blobs")
    info_file = prepared.task_dir / "task.json"
    info = json.loads(info_file.read_text())
    info_file.write_text(json.dumps(with_digest({**info, "images_sha256": "0" * 64})))
    with refused("task 'blobs' was prepared differently since"):
        evaluate([finished("blobs")], data=tmp_path)


def test_a_task_that_is_gone_prints_how_to_prepare_it(tmp_path):
    with refused("task 'blobs' is not prepared in .*run: pathsearch prepare"):
        evaluate([finished("blobs")], data=tmp_path)
