"""Masks as answers: of whatever picture, at its own size and in the task's own grey levels; as files and rows."""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command_world import pathsearch
from dense_bundles import TASKS, dense_bundle, dense_runs, images, predictor
from dense_world import NAMES, SIDE, dense_data
from PIL import Image
from small_world import CPU, copied, refused

from pathsearch.encoders.features import encode
from pathsearch.experts import bundle
from pathsearch.experts.answer import Answer
from pathsearch.experts.model import Model
from pathsearch.experts.predict import Predictor
from pathsearch.experts.router import Router
from pathsearch.run.teller import Silent

FAR = 1e30


def near(distance: float = FAR, levels: tuple[int, int] = (0, 255)) -> Predictor:
    """The discs alone, with a threshold and grey levels of our own."""
    model = predictor().model
    territory = replace(model.router.territories["discs"], threshold=distance)
    own = Model(model.encoder, {"discs": model.experts["discs"]}, Router({"discs": territory}), {"discs": levels})
    return Predictor(own, predictor().preparation)


def changed(folder: Path, change) -> None:
    """A bundle's index with a change, under a digest that fits."""
    index = json.loads((folder / bundle.INDEX).read_text())
    change(index)
    index[bundle.OWN] = bundle._own_digest(index)
    (folder / bundle.INDEX).write_text(json.dumps(index))


# --- what an answer is ----------------------------------------------------------------------------------------------


def test_a_prepared_image_gets_the_mask_that_its_run_was_tested_with():
    run, model = dense_runs()["discs"], predictor().model
    task = bundle.load_task(dense_data(), "discs")
    test = encode(task, model.encoder, dense_data() / "features").test()
    truth = test.truth.numpy()
    answers = near().predict(images("discs", "test"))
    masks = np.stack([answer.mask for answer in answers])
    assert masks.dtype == np.uint8
    assert set(np.unique(masks)) <= {0, 255}
    both, sizes = ((masks == 255) & (truth == 1)).sum((1, 2)), (masks == 255).sum((1, 2)) + (truth == 1).sum((1, 2))
    assert (2 * both / sizes).mean() == pytest.approx(run.report()["test"]["mask"]["dice"], abs=1e-6)
    for answer, mask in zip(answers, masks, strict=True):
        assert answer.task == "discs"
        assert (answer.label, answer.probability, answer.box, answer.image) == (None, None, None, None)
        assert answer.areas == {"disc": ((mask == 255).sum(), (mask == 255).mean())}
        assert answer.size == (SIDE, SIDE)


def test_classes_of_the_same_bundle_are_answered_as_ever():
    said = predictor().predict(images("sizes"), task="sizes")
    assert {answer.label for answer in said} <= {"small", "large"}
    for answer in said:
        assert answer.mask is None
        assert answer.areas == {}
        assert answer.probability == answer.probabilities[answer.label]


@pytest.mark.parametrize("size", [(SIDE, SIDE), (80, 48), (20, 20), (1, 7)])
def test_a_mask_has_the_size_of_its_image(size):
    with Image.open(images("discs")[0]) as image:
        picture = image.resize(size)
    (answer,) = near().predict(picture)
    assert answer.mask.shape == (size[1], size[0])
    assert answer.size == size
    assert answer.areas["disc"].share == pytest.approx((answer.mask == 255).mean())


def test_a_larger_image_gets_the_same_mask_finer():
    file = images("discs")[0]
    (own,) = near().predict(file)
    with Image.open(file) as image:
        (large,) = near().predict(image.resize((4 * SIDE, 3 * SIDE), Image.Resampling.BICUBIC))
    small = np.asarray(Image.fromarray(large.mask).resize((SIDE, SIDE), Image.Resampling.NEAREST))
    assert (small == own.mask).mean() > 0.95
    assert large.areas["disc"].share == pytest.approx(own.areas["disc"].share, abs=0.05)


def test_grey_colour_and_deep_pictures_get_the_same_mask(tmp_path):
    file = images("discs")[0]
    with Image.open(file) as opened:
        grey = np.array(opened)
    (expected,) = near().predict(grey)
    grey = np.clip(grey.astype(int), 0, 255).astype(np.uint8)
    stretched = np.round((grey.astype(float) - grey.min()) / np.ptp(grey) * 255).astype(np.uint8)
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")  # scaled by its own range
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(np.repeat(grey[..., None], 3, -1)).save(tmp_path / "colour.png")
    for name in ("grey", "colour"):
        (answer,) = near().predict(tmp_path / f"{name}.png")
        assert np.array_equal(answer.mask, expected.mask), name
    (deep,), (like,) = near().predict(tmp_path / "deep.png"), near().predict(stretched)
    assert np.array_equal(deep.mask, like.mask)


def test_a_picture_that_lies_on_its_side_gets_its_mask_upright(tmp_path):
    with Image.open(images("discs")[0]) as image:
        tall = image.resize((SIDE, 2 * SIDE))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    tall.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "side.png", exif=exif)
    (lying,), (upright,) = near().predict(tmp_path / "side.png"), near().predict(tall)
    assert lying.size == upright.size == (SIDE, 2 * SIDE)
    assert np.array_equal(lying.mask, upright.mask)


def test_levels_are_those_of_the_task():
    (answer,) = near(levels=(7, 3)).predict(images("discs")[0])
    (usual,) = near().predict(images("discs")[0])
    assert np.array_equal(answer.mask == 3, usual.mask == 255)
    assert np.array_equal(answer.mask == 7, usual.mask == 0)
    assert answer.areas == usual.areas


def test_an_unknown_image_gets_no_mask_unless_its_task_is_given():
    (file, *_) = images("discs")
    (unknown,) = near(1e-9).predict(file)
    assert (unknown.unknown, unknown.task, unknown.mask, unknown.areas, unknown.size) == (True, None, None, {}, None)
    (given,) = near(1e-9).predict(file, task="discs")
    assert given.unknown, "the router's word stands beside the answer"
    assert given.distance == unknown.distance
    assert np.array_equal(given.mask, near().predict(file)[0].mask)
    with refused("^task: expected one of discs, sizes, got 'disc'; did you mean discs\\?$"):
        predictor().predict(file, task="disc")
    with refused("^task: expected one of discs, got 'xyz'; leave it out to let the router decide$"):
        near().predict([], task="xyz")


def test_large_masks_are_made_one_at_a_time(monkeypatch):
    target = predictor().model.experts["discs"].target
    made = []
    own = type(target).decoded

    def watched(self, *given):
        for one in own(self, *given):
            made.append(one)
            yield one

    monkeypatch.setattr(type(target), "decoded", watched)
    stream = near().stream(images("discs")[:4], 4)
    for number in range(1, 5):
        assert isinstance(next(stream), Answer)
        assert len(made) == number


# --- as a command ---------------------------------------------------------------------------------------------------


def test_predict_writes_masks_areas_and_overlays(tmp_path):
    for folder in ("a", "b"):  # two images of one name
        (tmp_path / folder).mkdir()
        with Image.open(images("discs")[0]) as image:
            image.resize((60, 40)).save(tmp_path / folder / "1.png")
    (tmp_path / "b" / "cut.png").write_bytes(b"no image")
    out, over = tmp_path / "out", tmp_path / "over"
    given = [dense_bundle(), tmp_path / "a", tmp_path / "b", "--task", "discs"]
    done = pathsearch("predict", *given, "--out", out, "--explain", over)
    assert done.code == 2, "one image does not decode"
    assert done.out == ""
    text = (out / "answers.csv").read_text()
    assert text.splitlines()[0] == (
        "file,task,class,probability,distance,unknown,heat_map,mask,disc_pixels,disc_share,overlay,error"
    )
    *rows, broken = csv.DictReader(io.StringIO(text))
    assert "does not decode" in broken["error"]
    assert [Path(row["mask"]).name for row in rows] == ["1.png.mask.png", "1.png~1.mask.png"]
    assert sorted(file.name for file in out.iterdir()) == ["1.png.mask.png", "1.png~1.mask.png", "answers.csv"]
    for row in rows:
        with Image.open(row["mask"]) as mask:
            assert (mask.mode, mask.size) == ("L", (60, 40))
            pixels = np.array(mask)
        assert set(np.unique(pixels)) <= {0, 255}
        assert int(row["disc_pixels"]) == (pixels == 255).sum()
        assert float(row["disc_share"]) == pytest.approx((pixels == 255).mean(), rel=1e-5)
        assert (row["task"], row["class"], row["probability"], row["heat_map"]) == ("discs", "", "", "")
        with Image.open(row["overlay"]) as overlay:
            assert overlay.width == 1400
    again = pathsearch("predict", dense_bundle(), out, "--out", tmp_path / "second")
    assert again.code == 2
    assert "expected a folder with images, got none" in again.err, "answers are no images to be answered"


def test_rows_alone_go_to_standard_output(tmp_path):
    done = pathsearch("predict", dense_bundle(), *images("discs")[:2], "--task", "discs", "--format", "jsonl")
    assert done.code == 0, done
    assert "masks and images were not written; --out FOLDER writes them" in done.err
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert all({"disc_pixels", "disc_share"} <= row.keys() for row in rows)
    assert all("mask" not in row for row in rows)


def test_what_cannot_be_is_one_line(tmp_path):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "rows.csv", tmp_path / "file"):
        done = pathsearch("predict", dense_bundle(), images("discs")[0], "--out", out)
        assert done.code == 2
        assert "expected a folder, since this bundle answers with masks or images, got a file" in done.err
        assert done.err.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"
    done = pathsearch("predict", dense_bundle(), images("discs")[0], "--task", "disks")
    assert (done.code, done.out) == (2, "")
    assert "error: task: expected one of discs, sizes, got 'disks'; did you mean discs?" in done.err


def test_no_name_stops_the_batch(tmp_path):
    names = ["=1+1.png", "x" * 250 + ".png", "z.png"]
    for name in names:
        shutil.copy(images("discs")[0], tmp_path / name)
    done = pathsearch("predict", dense_bundle(), tmp_path, "--task", "discs", "--out", tmp_path / "out")
    assert done.code == 2, "one mask could not be written"
    assert "1 whose answer was not written" in done.err
    formula, long, usual = csv.DictReader(io.StringIO((tmp_path / "out" / "answers.csv").read_text()))
    assert formula["file"] == str(tmp_path / "=1+1.png")
    assert long["error"].startswith("answer not written: ")
    assert (long["mask"], long["disc_pixels"]) == ("", usual["disc_pixels"])
    assert Path(usual["mask"]).is_file()


# --- bundles --------------------------------------------------------------------------------------------------------


def test_a_bundle_says_what_is_asked_for_and_in_which_levels():
    tasks = json.loads((dense_bundle() / "bundle.json").read_text())["tasks"]
    assert tasks["discs"]["classes"] == NAMES
    assert (tasks["discs"]["target"], tasks["discs"]["levels"]) == ("mask", [0, 255])
    assert tasks["sizes"].keys().isdisjoint({"target", "levels"}), "of classes nothing is said"
    assert list(predictor().model.levels) == ["discs"]


@pytest.mark.parametrize("levels", [[0], [0, 0], [0, 256], [0, -1], [0, "255"], [True, 5], [0, 1, 2], 7, None])
def test_garbled_levels_are_refused(tmp_path, levels):
    mine = tmp_path / "mine"
    shutil.copytree(dense_bundle(), mine)
    changed(mine, lambda index: index["tasks"]["discs"].update(levels=levels))
    with refused("bundle.json lacks or garbles"):
        bundle.load(mine, CPU)


def test_a_damaged_expert_is_refused(tmp_path):
    mine = tmp_path / "mine"
    shutil.copytree(dense_bundle(), mine)
    file = mine / "experts" / "discs.safetensors"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with refused("experts/discs.safetensors: expected SHA-256 .*damaged or changed"):
        bundle.load(mine, CPU)


def test_a_router_file_of_other_numbers_is_refused(tmp_path):
    run = copied(dense_runs()["discs"], tmp_path)
    here = predictor().model.router.territories["discs"]
    replace(here, means=torch.zeros(1, 192), whiten=torch.eye(192).double()).save(run.router_file)
    run.seal()
    with refused("^run .*: expected a router file made of 70 numbers an image, which pixels gives, got one of 192"):
        bundle.write([run], dense_data(), tmp_path / "out", Silent())
    mine = tmp_path / "mine"
    shutil.copytree(dense_bundle(), mine)
    shutil.copy(run.router_file, mine / "routers" / "discs.safetensors")
    sha = bundle.file_sha256(run.router_file)
    changed(mine, lambda index: index["files"].update({"routers/discs.safetensors": sha}))
    with refused("^bundle .*: task discs: expected a router file made of 70 numbers"):
        bundle.load(mine, CPU)


def test_the_card_of_masks():
    card = (dense_bundle() / "MODEL_CARD.md").read_text()
    found = dense_runs()["discs"].report()["test"]["mask"]
    low, high = found["ci95"]["dice"]
    for words in (
        "no encoder (the networks read pixels)",
        "No encoder: the networks read pixels",
        "| discs | background 0, disc 255 | the most probable label of each pixel",
        f"{found['dice']:.4f} ({low:.4f}, {high:.4f})",
        "| | Dice | IoU |",
        "drawn at the size of the image that was given, and are no finer for that",
    ):
        assert words in card
    assert tuple(predictor().model.experts) == TASKS
