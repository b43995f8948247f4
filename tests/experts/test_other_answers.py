"""Boxes and images as answers: in the pixels of the picture that was given, as rows, files and overlays."""

from __future__ import annotations

import csv
import functools
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from command_world import pathsearch
from dense_world import QUICK, SIDE, dense_task
from PIL import Image
from small_world import scratch

import pathsearch as package
from data_prep.manifest import save_task
from pathsearch.experts import bundle
from pathsearch.experts.answer_columns import more_columns
from pathsearch.experts.predict import Predictor
from pathsearch.run.runs import Run
from pathsearch.run.teller import Silent
from pathsearch.targets import BoxTarget, ClassTarget, ImageTarget, MaskTarget

TARGETS = {"frames": "box", "copies": "image"}


@functools.cache
def other_data() -> Path:
    """The discs again: `frames` asks for the box around each, `copies` for the image itself."""
    folder, discs = scratch() / "other-data", dense_task()
    masks = np.concatenate([discs.masks(split) for split in ("train", "val", "test")])
    order = np.concatenate([discs.rows(split) for split in ("train", "val", "test")])
    boxes = {}
    for row, mask in zip(order, masks, strict=True):
        y, x = np.nonzero(mask)
        boxes[row] = [x.min(), y.min(), x.max() + 1, y.max() + 1]
    for name, target in TARGETS.items():
        (folder / name / "images").mkdir(parents=True)
        for file in discs.files():
            (folder / name / "images" / file.name).write_bytes(file.read_bytes())
        table = discs.table[["file", "label", "split", "group"]].copy()
        if target == "box":
            frame = pd.DataFrame(
                [boxes[row] for row in range(len(table))], columns=["x_min", "y_min", "x_max", "y_max"]
            )
            table = pd.concat([table, frame.astype(str)], axis=1)
        save_task(
            folder / name,
            name=name,
            classes=discs.classes,
            table=table,
            split={"name": "random", "words": "every fifth image tests"},
            source="drawn",
            licence="none",
            options={"image_size": SIDE},
            notes=[],
            target=target,
        )
    return folder


@functools.cache
def other_bundle() -> Path:
    out, folder, runs = scratch() / "other-bundle", scratch() / "other-runs", []
    for name in TARGETS:
        where = ["--data-dir", other_data(), "--runs-dir", folder, "--device", "cpu"]
        quick = [word for one in QUICK for word in ("--set", one)]
        done = pathsearch("train", "--task", name, "--blueprint", "unet", *quick, *where)
        assert done.code == 0, done
        runs.append(Run(folder / f"{name}-random-s0"))
    bundle.write(runs, other_data(), out, Silent())
    return out


@functools.cache
def predictor() -> Predictor:
    return package.load(other_bundle())


def picture(size: tuple[int, int] = (64, 48), grey: bool = True) -> Image.Image:
    with Image.open(dense_task().files()[0]) as image:
        return image.resize(size).convert("L" if grey else "RGB")


def test_a_box_is_in_pixels_of_the_picture():
    pixels, sizes = torch.stack([predictor().pixels(picture())] * 2), [(SIDE, SIDE), (4 * SIDE, 2 * SIDE)]
    small, large = predictor().model.stream(pixels, ["small", "large"], sizes, "frames")
    for answer, (width, height) in zip((small, large), sizes, strict=True):
        assert (answer.task, answer.label, answer.mask, answer.image) == ("frames", None, None, None)
        x_min, y_min, x_max, y_max = answer.box
        assert 0 <= x_min <= x_max <= width
        assert 0 <= y_min <= y_max <= height
        assert answer.size == (width, height)
    assert np.allclose(np.array(large.box) / [4, 2, 4, 2], small.box, atol=1e-3)


def test_an_image_has_the_size_of_the_picture():
    (answer,) = predictor().predict([picture()], task="copies")
    assert (answer.image.shape, answer.image.dtype) == ((48, 64), np.uint8)
    assert (answer.label, answer.mask, answer.box) == (None, None, None)


@pytest.mark.parametrize(("names", "shape"), [(["grey"], (5, 7)), (["red", "green", "blue"], (5, 7, 3))])
def test_an_image_by_hand(names, shape):
    """0 is black, 1 is white, what lies beyond is cut."""
    outputs = torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0])[:, None, None, None].expand(5, len(names), 4, 4)
    said = ImageTarget(names).decoded(outputs, None, [(7, 5)] * 5)
    assert [(one.image.shape, set(np.unique(one.image).tolist())) for one in said] == [
        (shape, {level}) for level in (0, 0, 128, 255, 255)
    ]


def test_a_box_by_hand():
    outputs = torch.tensor([[0.75, 0.5, 0.25, 1e-9]]).logit()
    (said,) = BoxTarget().decoded(outputs, None, [(200, 100)])
    assert said.box == pytest.approx((50, 0, 150, 50), abs=1e-3)


def test_a_mask_by_hand():
    """Four labels in stripes, three times as large, and one of them nowhere."""
    labels = torch.tensor([0, 1, 1, 3]).repeat(4, 1)
    outputs = 20.0 * torch.nn.functional.one_hot(labels, 4).movedim(-1, 0)[None]
    (said,) = MaskTarget(["ground", "a", "b", "c"]).decoded(outputs, None, [(12, 8)])
    assert said.mask[0].tolist() == [0] * 3 + [1] * 6 + [3] * 3
    assert said.areas == {"a": (48, 0.5), "b": (0, 0.0), "c": (24, 0.25)}


def test_columns_follow_what_is_asked():
    mask, other = MaskTarget(["ground", "a"]), MaskTarget(["ground", "=b", "a"])
    assert more_columns([ClassTarget(["x", "y"])], explained=True) == ()
    assert more_columns([mask, other]) == ("mask", "a_pixels", "a_share", "=b_pixels", "=b_share")
    assert more_columns([ImageTarget(), BoxTarget()], explained=True) == (
        "x_min", "y_min", "x_max", "y_max", "image", "overlay",
    )  # fmt: skip


@pytest.mark.parametrize("task", TARGETS)
def test_as_a_command(tmp_path, task):
    picture().save(tmp_path / "1.png")
    given = [other_bundle(), tmp_path / "1.png", "--task", task]
    done = pathsearch("predict", *given, "--out", tmp_path / "out", "--explain", tmp_path / "over")
    assert done.code == 0, done
    (row,) = csv.DictReader(io.StringIO((tmp_path / "out" / "answers.csv").read_text()))
    assert list(row) == [
        "file", "task", "class", "probability", "distance", "unknown", "x_min", "y_min", "x_max", "y_max", "image",
        "overlay", "error",
    ]  # fmt: skip
    with Image.open(row["overlay"]) as overlay:
        assert overlay.width == 1400
    (answer,) = predictor().predict(tmp_path / "1.png", task=task)
    if task == "frames":
        assert row["image"] == ""
        assert [float(row[name]) for name in ("x_min", "y_min", "x_max", "y_max")] == pytest.approx(
            answer.box, abs=0.01
        )
        return
    assert row["x_min"] == ""
    with Image.open(row["image"]) as image:
        assert np.array_equal(np.asarray(image), answer.image)


def test_the_joint_evaluation_takes_both(tmp_path):
    where = ["--data-dir", other_data(), "--runs-dir", scratch() / "other-runs"]
    assert other_bundle().is_dir()
    done = pathsearch("joint-eval", *where, "--json")
    assert done.code == 0, done
    for words in ('"measure": "ssim"', '"measure": "iou"', '"psnr"'):
        assert words in done.out
