"""Tasks of several targets in one joint evaluation: each by its own measures, what does not arrive is worth nothing."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from command_world import pathsearch
from dense_bundles import dense_runs, predictor
from dense_world import dense_data, dense_task
from page_checks import faults
from small_world import CPU, copied

from pathsearch.encoders.features import encode
from pathsearch.encoders.noise import Noise
from pathsearch.experts import bundle, joint
from pathsearch.experts.joint_rates import rates
from pathsearch.experts.mixture import answer
from pathsearch.experts.router import UNKNOWN
from pathsearch.run.place import Place
from pathsearch.run.runs import newest_finished
from pathsearch.run.teller import Silent

DISCS, SIZES = 0, 1


def place() -> Place:
    return Place(dense_data() / "features", CPU)


class Sending:
    """A router that sends a share of each task's images where it is told to, the first ones first."""

    def __init__(self, **plan: list[int]) -> None:
        self.tasks = list(plan)
        encoder = predictor().model.encoder
        self.plan: dict[bytes, int] = {}
        for name, numbers in plan.items():
            seen = encode(dense_task(name), encoder, dense_data() / "features").test().pooled()
            for i, row in enumerate(seen):
                self.plan[row.numpy().tobytes()] = numbers[i % len(numbers)]

    def route(self, seen: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        sent = np.array([self.plan[row.numpy().tobytes()] for row in seen])
        return sent, np.where(sent == UNKNOWN, 2.0, 0.5)


def evaluated(names: tuple[str, ...] = ("discs", "sizes"), **plan: list[int]) -> dict[str, Any]:
    model = predictor().model
    tests = {n: encode(dense_task(n), model.encoder, dense_data() / "features").test() for n in names}
    experts = {n: model.experts[n] for n in names}
    router: Any = Sending(**plan)
    return rates(tests, experts, answer(tests, experts, router, 0, Silent()), 0)


@functools.cache
def at_home() -> str:
    return json.dumps(evaluated(discs=[DISCS], sizes=[SIZES]))


def test_where_all_are_sent_home_routed_is_oracle_and_the_run():
    tasks = json.loads(at_home())["tasks"]
    for name, run in dense_runs().items():
        own, row = run.report()["test"], tasks[name]
        assert row["routed"]["n"] == row["oracle"]["n"] == own["n"]
        assert row["lost_by_routing"] == {"images": 0, "of_them_unknown": 0}
    own = dense_runs()["discs"].report()["test"]["mask"]
    for kind in ("routed", "oracle"):
        found = tasks["discs"][kind]["mask"]
        for measure in ("dice", "iou", "mcc", "pixel_accuracy", "hausdorff95"):
            assert found[measure] == pytest.approx(own[measure], abs=1e-6)
            assert found["ci95"][measure] == pytest.approx(own["ci95"][measure], abs=1e-6)
    assert (tasks["discs"]["target"], tasks["discs"]["measure"]) == ("mask", "dice")
    assert "target" not in tasks["sizes"], "the fields of class tasks are as they were"


@pytest.mark.parametrize("elsewhere", [UNKNOWN, SIZES])
def test_a_mask_that_does_not_arrive_is_worth_nothing(elsewhere):
    """Every second image of the discs goes elsewhere; oracle stays, routed is the mean with zeros."""
    found, home = evaluated(discs=[elsewhere, DISCS], sizes=[SIZES]), json.loads(at_home())
    row = found["tasks"]["discs"]
    assert row["oracle"] == home["tasks"]["discs"]["oracle"]
    model, task = predictor().model, dense_task("discs")
    test = encode(task, model.encoder, dense_data() / "features").test()
    said = model.experts["discs"].said(test.raw(torch.arange(len(test))), test.truth, in_full=True)
    each = model.experts["discs"].target.score("dice", said, test.truth, None)
    n = len(each)
    lost = len(range(0, n, 2))
    assert row["routed"]["mask"]["dice"] == pytest.approx(each[1::2].sum() / n, abs=1e-6)
    assert row["routed"]["n"] == n
    far = said["hausdorff95"][1::2, 0].sum().item()
    assert row["routed"]["mask"]["hausdorff95"] == pytest.approx((far + lost * (2 * 32**2) ** 0.5) / n), "the diagonal"
    assert row["routed"]["mask"]["undefined"] == {}
    assert row["routed"]["unknown"] == (lost if elsewhere == UNKNOWN else 0)
    assert row["lost_by_routing"] == {"images": lost, "of_them_unknown": lost if elsewhere == UNKNOWN else 0}
    assert found["overall"] == home["overall"], "masks are no part of the accuracy"


def test_a_class_image_that_is_sent_to_masks_has_no_class():
    found = evaluated(discs=[DISCS], sizes=[DISCS])
    assert found["overall"]["accuracy"] == 0
    assert found["overall"]["tasks"] == ["sizes"]
    assert found["confusion"]["columns"] == ["sizes: small", "sizes: large", "no class"]
    assert np.array(found["confusion"]["counts"])[:, :2].sum() == 0
    assert found["routing"]["unknown"] == 0
    assert found["routing"]["confusion"][SIZES][DISCS] == found["tasks"]["sizes"]["routed"]["n"]
    assert found["tasks"]["sizes"]["lost_by_routing"]["of_them_unknown"] == 0


def test_noise_of_one_task_leaves_the_others_as_they_are():
    model = predictor().model
    tests = {n: encode(dense_task(n), model.encoder, dense_data() / "features").test() for n in ("discs", "sizes")}
    plain = answer(tests, model.experts, model.router, 0, Silent())
    tests["discs"] = replace(tests["discs"], noise=Noise.of("gaussian:0.3"))
    noisy = answer(tests, model.experts, model.router, 0, Silent())
    assert not torch.equal(noisy.said["discs"]["loss"], plain.said["discs"]["loss"])
    assert np.allclose(noisy.oracle["sizes"], plain.oracle["sizes"], atol=1e-6)
    own = model.experts["discs"].said(tests["discs"].raw(torch.arange(len(tests["discs"]))), tests["discs"].truth)
    torch.testing.assert_close(noisy.said["discs"]["loss"], own["loss"])


def test_masks_alone_have_no_accuracy():
    found = evaluated(("discs",), discs=[DISCS, UNKNOWN])
    assert list(found) == ["tasks", "intervals", "routing"]
    assert found["intervals"]["method"] == "bootstrap over images"
    assert 0 < found["tasks"]["discs"]["routed"]["mask"]["dice"] < found["tasks"]["discs"]["oracle"]["mask"]["dice"]


def test_the_order_of_the_mixture_changes_nothing():
    runs = list(dense_runs().values())
    one, other = (joint.joint_evaluate(runs, dense_data(), place(), seed)["tasks"]["discs"] for seed in (0, 1))
    assert one["routed"]["mask"]["dice"] == pytest.approx(other["routed"]["mask"]["dice"], abs=1e-6)


def test_as_a_command(tmp_path):
    runs = {name: copied(run, tmp_path) for name, run in dense_runs().items()}
    where = ["--data-dir", dense_data(), "--runs-dir", tmp_path]
    done = pathsearch("joint-eval", *where)
    assert done.code == 0, done
    for words in ("discs: Dice", "classes:", "worth 0 among the routed"):
        assert words in " ".join(done.out.split())
    (folder,) = tmp_path.glob("joint-*")
    report = json.loads((folder / "report.json").read_text())
    assert report["runs"] == {name: run.name for name, run in runs.items()}
    assert {"overall", "confusion", "mistakes", "calibration", "thresholds"} <= report.keys()
    page = (folder / "report.html").read_text()
    assert faults(page) == []
    assert "is worth 0" in page
    assert (folder / "joint_accuracy.png").exists()
    bundle.write(list(runs.values()), dense_data(), tmp_path / "m", Silent())
    card = (tmp_path / "m" / "MODEL_CARD.md").read_text()
    assert "over the tasks of classes, sizes: accuracy" in card
    assert f"discs: Dice {report['tasks']['discs']['routed']['mask']['dice']:.4f}" in card
    again = pathsearch("plot", folder.name, *where)
    assert again.code == 0, again
    alone = pathsearch("joint-eval", runs["discs"].name, *where)
    assert alone.code == 0, alone
    (other,) = [one for one in tmp_path.glob("joint-*") if one != folder]
    assert not (other / "confusion_joint.png").exists()
    assert faults((other / "report.html").read_text()) == []
    written = ("--evidence", tmp_path / "e", "--out", tmp_path / "r.md")
    done = pathsearch("results", folder.name, other.name, *where, *written)
    assert done.code == 0, done
    dice = f"Dice {report['tasks']['discs']['routed']['mask']['dice']:.4f}"
    assert dice in (tmp_path / "r.md").read_text()


def test_runs_of_every_target_are_found(tmp_path):
    for run in dense_runs().values():
        copied(run, tmp_path)
    found, left_out = newest_finished(tmp_path)
    assert [run.name for run in found] == ["discs-random-s0", "sizes-random-s0"]
    assert left_out == {}
