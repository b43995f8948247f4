"""Images of several tasks as one: without labels, each in its split, and no test image among those of training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.errors import BadData, PathsearchError
from data_prep.folder import prepare_folder
from data_prep.manifest import load_task
from data_prep.united import prepare_images_of

SIDE = 32


def prepared(data_dir: Path, name: str, seed: int, size: int = SIDE, also: dict[str, np.ndarray] | None = None) -> Path:
    """A task of 24 images of noise in three splits; `also` are further images by `split/class/stem`."""
    rng, source = np.random.default_rng(seed), data_dir / f"raw-{name}"
    made = {
        f"{split}/{kind}/{number:02d}": rng.integers(0, 255, (size, size), dtype=np.uint8)
        for split in ("train", "val", "test")
        for kind in ("a", "b")
        for number in range(4)
    }
    for stem, pixels in {**made, **(also or {})}.items():
        file = source / f"{stem}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    prepare_folder(source, data_dir, name=name, image_size=size)
    return source


def test_every_image_stays_in_its_split(tmp_path):
    prepared(tmp_path, "one", 1)
    prepared(tmp_path, "two", 2)
    task = prepare_images_of(["one", "two"], tmp_path, name="both")
    assert (task.classes, task.target, task.targets) == ((), "image", ("image",))
    assert task.table["split"].value_counts().to_dict() == {"train": 16, "val": 16, "test": 16}
    assert set(task.table["label"]) == {""}
    assert "no copy and no look-alike of a test image" in task.split_in_words
    for name in ("one", "two"):
        of = load_task(tmp_path, name)
        for split in ("train", "val", "test"):
            ours = {one.tobytes() for one in task.pictures(split)}
            assert {one.tobytes() for one in of.pictures(split)} <= ours
    assert load_task(tmp_path, "both").fingerprint == task.fingerprint


def test_a_test_image_that_another_task_trains_on_is_left_out(tmp_path):
    first = prepared(tmp_path, "one", 1)
    test_image = np.array(Image.open(first / "test" / "a" / "00.png"))
    prepared(tmp_path, "two", 2, also={"train/a/copy": test_image})
    task = prepare_images_of(["one", "two"], tmp_path, name="both")
    trained = {one.tobytes() for split in ("train", "val") for one in task.pictures(split)}
    assert test_image.tobytes() not in trained
    assert test_image.tobytes() in {one.tobytes() for one in task.pictures("test")}
    assert any(note.startswith("1 training and validation images were left out") for note in task.info["notes"])


def test_a_look_alike_of_a_test_image_is_left_out_unless_they_are_not_looked_for(tmp_path):
    first = prepared(tmp_path, "one", 1)
    lighter = (np.array(Image.open(first / "test" / "a" / "00.png")) * 0.9 + 12).astype(np.uint8)
    prepared(tmp_path, "two", 2, also={f"{split}/a/lighter": lighter + i for i, split in enumerate(("train", "val"))})
    task = prepare_images_of(["one", "two"], tmp_path, name="both")
    assert task.table["split"].value_counts().to_dict() == {"train": 16, "val": 16, "test": 16}
    assert not any("lighter" in file and "test" not in file for file in task.table["file"])
    assert any(note.startswith("2 training and validation images were left out") for note in task.info["notes"])
    loose = prepare_images_of(["one", "two"], tmp_path, name="loose", look_alikes=False)
    assert loose.table["split"].value_counts().to_dict() == {"train": 17, "val": 17, "test": 16}
    assert "no copy, pixel for pixel, of a test image is trained on" in loose.split_in_words
    assert "look-alike" not in loose.split_in_words


def test_images_of_several_sizes_are_refused(tmp_path):
    prepared(tmp_path, "one", 1)
    prepared(tmp_path, "two", 2, size=48)
    with pytest.raises(BadData, match="--of: expected tasks with images of one size, got one 32, two 48 pixels"):
        prepare_images_of(["one", "two"], tmp_path, name="both")


def test_a_changed_image_is_refused(tmp_path):
    prepared(tmp_path, "one", 1)
    file = load_task(tmp_path, "one").files()[0]
    Image.fromarray(np.zeros((SIDE, SIDE), np.uint8)).save(file)
    with pytest.raises(BadData, match=file.name):
        prepare_images_of(["one"], tmp_path, name="both")


@pytest.mark.parametrize(
    ("of", "name"), [([], "both"), (["one", "one"], "both"), (["one", "one:image"], "both"), (["one"], "one")]
)
def test_what_cannot_be_united_is_refused(tmp_path, of, name):
    prepared(tmp_path, "one", 1)
    with pytest.raises(PathsearchError, match="--of: expected prepared tasks, each once, and another --name"):
        prepare_images_of(of, tmp_path, name=name)
