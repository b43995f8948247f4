"""Answers: those of the joint evaluation, in order, as a stream, whatever the pictures are and however many fail."""

from __future__ import annotations

import csv
import functools
import io
import itertools
import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from command_world import pathsearch
from PIL import Image, ImageOps
from small_world import CPU, N_IMAGES, SIZE, data_dir, draw_stripes, finished, refused, scratch, task

import pathsearch as package
from data_prep.folder import prepare_folder
from data_prep.images import read_image
from pathsearch.encoders.features import encode
from pathsearch.encoders.views import load_images
from pathsearch.experts import bundle, joint, predict
from pathsearch.experts.model import Answer, Model
from pathsearch.experts.pictures import Preparation, as_pictures, image_files
from pathsearch.experts.predict import Failure, Predictor
from pathsearch.experts.router import Router, Territory
from pathsearch.run.teller import Silent

TASKS = ("stripes", "blobs")


@functools.cache
def bundle_dir() -> Path:
    out = scratch() / "predict-bundle"
    bundle.write([finished(name) for name in TASKS], data_dir(), out, Silent())
    return out


@functools.cache
def predictor() -> Predictor:
    return package.load(bundle_dir())


def test_files(name: str) -> list[Path]:
    """The test images of a task."""
    return [task(name).files()[row] for row in task(name).rows("test")]


test_files.__test__ = False  # type: ignore[attr-defined]


# --- the same decisions ---------------------------------------------------------------------------------------------


def test_decisions_are_those_of_the_joint_evaluation():
    runs = [finished(name) for name in TASKS]
    model = Model.of(runs, CPU)
    tests = {n: encode(task(n), model.encoder, data_dir() / "features").test() for n in TASKS}
    said = joint.answer(tests, model.experts, model.router, 0, Silent())
    names = [(n, label) for n in TASKS for label in task(n).classes]
    for name in TASKS:
        answers = predictor().predict(test_files(name))
        expected = [names[k] if k >= 0 else (None, None) for k in said.predictions[name]]
        assert [(a.task, a.label) for a in answers] == expected
        assert [a.unknown for a in answers] == (said.routed[name] < 0).tolist()
        own = [a.probability for a in answers if not a.unknown]
        top = said.sure[name][said.predictions[name] >= 0].tolist()
        assert own == pytest.approx(top, abs=2e-3)


def only(name: str, threshold: float, distance: float = 1e30) -> Predictor:
    """A predictor of one task with thresholds of our own."""
    model = predictor().model
    expert, here = model.experts[name], model.router.territories[name]
    from dataclasses import replace

    changed = type(expert)(replace(expert.facts, threshold=threshold), expert.network.network, expert.standardise)
    moved = Territory(here.means, here.whiten, here.log_det, distance)
    return Predictor(Model(model.encoder, {name: changed}, Router({name: moved})), predictor().preparation)


def test_the_threshold_decides_and_the_probability_is_that_of_the_class():
    files = test_files("blobs")[:6]
    never, always = only("blobs", 2.0).predict(files), only("blobs", 0.0).predict(files)
    first, second = task("blobs").classes
    assert {a.label for a in never} == {first}
    assert {a.label for a in always} == {second}
    for a, b in zip(never, always, strict=True):
        assert a.probabilities == b.probabilities
        assert a.probability == a.probabilities[first]
        assert a.probability + b.probability == pytest.approx(1)


def test_an_unknown_image_gets_no_class():
    (answer,) = only("blobs", 0.5, distance=1e-9).predict(test_files("blobs")[:1])
    assert answer.unknown
    assert answer.distance > 1
    assert (answer.task, answer.label, answer.probability, answer.probabilities) == (None, None, None, {})


# --- whatever a picture is ------------------------------------------------------------------------------------------


def same(answers: list[Answer]) -> list[tuple]:
    return [(a.task, a.label, a.distance, a.probabilities) for a in answers]


def test_paths_pillow_images_and_arrays_get_the_same_answers():
    files = [*test_files("stripes")[:2], *test_files("blobs")[:2]]
    opened = [Image.open(file) for file in files]
    grey = np.stack([np.array(image) for image in opened])
    colour = np.repeat(grey[..., None], 3, -1)
    expected = predictor().predict(files)
    assert [a.source for a in expected] == [str(file) for file in files]
    for images in ([str(file) for file in files], opened, list(grey), grey, colour, list(colour)):
        assert same(predictor().predict(images)) == same(expected)
    assert [a.source for a in predictor().predict(grey)] == [0, 1, 2, 3]
    for one in (files[0], str(files[0]), opened[0], grey[0], colour[0]):
        (answer,) = predictor().predict(one)
        assert (answer.task, answer.label) == (expected[0].task, expected[0].label)
    assert predictor().predict([]) == []


@pytest.mark.parametrize(
    ("images", "match"),
    [
        (np.zeros((4, 4)), r"image 0: expected a uint8 array .* got float64 \(4, 4\); scale it"),
        (np.zeros((1, 3, 8, 8), np.uint8), r"got uint8 \(3, 8, 8\); .* channels last"),
        ([np.zeros((0, 4), np.uint8)], "image 0: expected a uint8 array"),
        ([3], "image 0: expected a path, a Pillow image or a uint8 array, got int"),
        (["nowhere.png"], "nowhere.png: no such file; check its name"),
    ],
)
def test_what_is_no_image_is_refused(images, match):
    with refused(match):
        predictor().predict(images)


def test_raw_images_are_prepared_as_the_tasks_were(tmp_path):
    """What `prepare` makes of a raw image, and that image itself, have the same pixels for the encoder."""
    rng = np.random.default_rng(0)
    for number in range(20):
        file = tmp_path / "raw" / "ab"[number % 2] / f"{number}.{'jpg' if number % 3 else 'png'}"
        file.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = 6  # lies on its side
        Image.fromarray(draw_stripes(0, rng, 4 * SIZE)[: 3 * SIZE]).save(file, exif=exif)
    prepared = prepare_folder(tmp_path / "raw", tmp_path / "data", name="own", image_size=SIZE)
    preparation = Preparation.of([prepared])
    assert preparation == Preparation((SIZE,), grey=True)
    raw = {file.stem: file for file in (tmp_path / "raw").rglob("*.*")}
    for file in prepared.files():
        (expected,) = load_images([file], 40)
        assert torch.equal(preparation.sized(raw[file.stem], 40).pixels, expected)
        assert torch.equal(preparation.sized(file, 40).pixels, expected)
        with Image.open(raw[file.stem]) as opened:  # lies on its side as well
            assert torch.equal(preparation.sized(opened, 40).pixels, expected)
        upright = np.asarray(ImageOps.exif_transpose(Image.open(raw[file.stem])))
        assert torch.equal(preparation.sized(upright, 40).pixels, expected)


def test_a_prepared_image_of_any_of_the_sizes_stays_as_it_is():
    preparation = Preparation((32, 64), grey=False)
    rng = np.random.default_rng(0)
    for side in (32, 64):
        image = rng.integers(256, size=(side, side, 3), dtype=np.uint8)
        expected = np.asarray(Image.fromarray(image).resize((48, 48), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
        assert np.array_equal(preparation.sized(image, 48).pixels.numpy(), expected)
    other = rng.integers(256, size=(50, 90, 3), dtype=np.uint8)
    expected = preparation.sized(read_image(other, "RGB", 64), 48).pixels
    assert torch.equal(preparation.sized(other, 48).pixels, expected)


def test_tasks_of_images_as_they_came_leave_new_ones_so(tmp_path):
    preparation = Preparation((), grey=False)
    image = np.random.default_rng(0).integers(256, size=(50, 90, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    assert torch.equal(preparation.sized(tmp_path / "a.png", 48).pixels, load_images([tmp_path / "a.png"], 48)[0])
    assert preparation.in_words().startswith("none")


def test_one_coloured_image_makes_a_task_coloured(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(20):
        file = tmp_path / "raw" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        shape = (40, 40, 3) if number == 7 else (40, 40)
        Image.fromarray(rng.integers(256, size=shape, dtype=np.uint8)).save(file)
    prepared = prepare_folder(tmp_path / "raw", tmp_path / "data", name="own", image_size=40)
    assert not Preparation.of([prepared]).grey


def test_as_pictures_tells_one_image_from_a_batch():
    assert len(as_pictures(np.zeros((5, 4, 3), np.uint8))) == 1
    assert len(as_pictures(np.zeros((5, 4, 4), np.uint8))) == 5
    assert len(as_pictures(np.zeros((5, 4, 4, 3), np.uint8))) == 5


# --- which files ----------------------------------------------------------------------------------------------------


def test_files_folders_and_lists_become_files(tmp_path):
    for name in ("b/2.png", "b/1.JPG", "a/x.png.heat.png", "a/y.gif", "a/notes.txt", ".hidden/z.png", "a/._y.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    folder = [tmp_path / name for name in ("a/y.gif", "b/1.JPG", "b/2.png")]
    assert list(image_files([str(tmp_path)], [])) == folder
    listed = [f"{tmp_path}/b\r\n".encode(), b"\n", b"caf\xe9.png\n", b"-\n"]
    found = [str(file) for file in image_files(["one.dat", "-"], listed)]
    assert found == ["one.dat", str(folder[1]), str(folder[2]), "caf\udce9.png"]
    (tmp_path / "empty").mkdir()
    with refused("empty: expected a folder with images, got none that ends in .png"):
        list(image_files([str(tmp_path / "empty")], []))


# --- the stream -----------------------------------------------------------------------------------------------------


def test_failures_keep_their_places(tmp_path):
    good = test_files("blobs")[0]
    cut = tmp_path / "cut.png"
    cut.write_bytes(good.read_bytes()[:-400])
    empty = tmp_path / "empty.jpg"
    empty.write_bytes(b"")
    pictures = [cut, good, tmp_path / "none.png", good, empty, cut, cut, good]
    for size in (1, 2, 3, 100):
        answers = list(predictor().stream(pictures, size))
        assert [isinstance(a, Failure) for a in answers] == [True, False, True, False, True, True, True, False]
        assert [a.source for a in answers] == [str(p) for p in pictures]
    assert "does not decode" in answers[0].error
    assert "no such file" in answers[2].error
    with refused("cut.png: expected an image, got a file that does not decode"):
        predictor().predict(pictures)


@pytest.mark.parametrize("sizes", [(SIZE,), ()], ids=["prepared at a size", "as they came"])
def test_what_may_not_be_opened_gets_a_row(tmp_path, sizes):
    """PostScript under another name reaches no interpreter, and a picture of too many pixels is not decoded."""
    (tmp_path / "program.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    mine = Predictor(predictor().model, Preparation(sizes, grey=False))
    pictures = [tmp_path / "program.png", test_files("blobs")[0], tmp_path / "bomb.png"]
    program, good, bomb = mine.stream(pictures)
    assert isinstance(good, Answer)
    assert isinstance(program, Failure)
    assert isinstance(bomb, Failure)
    assert "program.png: expected an image" in program.error
    assert "bomb.png: expected an image of at most" in bomb.error


def test_the_stream_reads_only_a_few_batches_ahead():
    image = np.zeros((SIZE, SIZE), np.uint8)
    taken = itertools.count()
    endless = (image for _ in taken)
    stream = predictor().stream(endless, 4)
    for _ in range(40):
        next(stream)
    assert next(taken) <= 40 + (1 + predict.AHEAD) * 4 + 2
    stream.close()  # no thread is left behind
    assert not [t for t in threading.enumerate() if t.name.startswith("ThreadPoolExecutor") and t.is_alive()]


def test_the_next_images_are_decoded_while_a_batch_is_computed(monkeypatch):
    """The encoder waits inside a batch until a picture after it has been decoded."""
    later = threading.Event()
    own = Preparation.sized

    def watched(self, picture, size):
        if picture.any():
            later.set()
        return own(self, picture, size)

    answers = Model.stream

    def waiting(self, *given):
        assert later.wait(20), "nothing was decoded meanwhile"
        return answers(self, *given)

    monkeypatch.setattr(Preparation, "sized", watched)
    monkeypatch.setattr(Model, "stream", waiting)
    dark, light = np.zeros((SIZE, SIZE), np.uint8), np.ones((SIZE, SIZE), np.uint8)
    assert len(list(predictor().stream([dark] * 4 + [light] * 4, 4))) == 8


# --- as a command ---------------------------------------------------------------------------------------------------


def test_predict_as_a_command(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for name in TASKS:
        for file in test_files(name)[:3]:
            shutil.copy(file, images / f"{name}-{file.name}")
    fine = pathsearch("predict", bundle_dir(), images)
    assert fine.code == 0, fine
    rows = list(csv.DictReader(io.StringIO(fine.out)))
    expected = predictor().predict(sorted(images.iterdir()))
    assert [(r["file"], r["task"] or None, r["class"] or None) for r in rows] == [
        (a.source, a.task, a.label) for a in expected
    ]
    assert "6 images: " in fine.err
    assert "0 failed" in fine.err
    (images / "bad.png").write_bytes(b"no image")
    out = tmp_path / "rows.jsonl"
    failed = pathsearch("predict", bundle_dir(), images, "--format", "jsonl", "--out", out, "--batch-size", 2)
    assert failed.code == 2
    assert failed.out == ""
    assert "7 images: " in failed.err
    assert "1 failed" in failed.err
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["file"] for line in lines] == sorted(str(file) for file in images.iterdir())
    assert "does not decode" in lines[0]["error"]
    assert all(line["error"] is None for line in lines[1:])


def test_predict_refuses_in_one_line(tmp_path):
    done = pathsearch("predict", tmp_path, "x.png")
    assert done.code == 2
    assert done.err.startswith("error: bundle ")
    assert done.err.count("\n") == 1
    assert done.out == ""


def test_the_tests_have_images():
    assert all(len(test_files(name)) >= N_IMAGES // 10 for name in TASKS)
