"""Images that cannot be used: all named, or left out and counted."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from data_prep.csv_table import prepare_csv
from data_prep.errors import BadData
from data_prep.folder import prepare_folder
from data_prep.images import read_image

CLASS_TREE = [f"{label}/{i}.png" for label in ("cat", "dog") for i in range(12)]
SPLIT_TREE = [
    f"{part}/{label}/{i}.png" for part in ("train", "val", "test") for label in ("cat", "dog") for i in range(3)
]


def test_links_that_lead_nowhere_and_pipes_are_named_or_left_out(make_images, tmp_path):
    source = make_images(CLASS_TREE)
    (source / "cat" / "gone.png").symlink_to("nothing.png")
    (source / "cat" / "loop.png").symlink_to("loop.png")
    (source / "dog" / "1.2.840.7").symlink_to("no export")
    (source / "dog" / "good.png").symlink_to("1.png")
    bad = ["cat/gone.png", "cat/loop.png", "dog/1.2.840.7"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(source / "dog" / "pipe.png")
        os.mkfifo(source / "dog" / "pipe")  # no image by its name: ignored and counted, as a text would be
        bad.append("dog/pipe.png")
    with pytest.raises(BadData) as caught:
        prepare_folder(source, tmp_path, name="pets", image_size=16, duplicates="report")
    said = str(caught.value)
    assert f"{len(bad)} of {24 + 1 + len(bad)} images cannot be used: " in said
    assert "gone.png: expected an image, got a link that leads nowhere (to 'nothing.png')" in said
    assert all(name in said for name in bad)
    task = prepare_folder(source, tmp_path, name="pets", image_size=16, duplicates="report", skip_bad=True)
    assert len(task.table) == 25
    assert f"{len(bad)} images that cannot be used were left out: {', '.join(bad)}" in task.info["notes"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
@pytest.mark.parametrize("name", ["x.png", "x.dcm", "x"])
def test_a_pipe_is_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(BadData, match="expected an image, got no regular file; replace or remove it"):
        read_image(tmp_path / name, None)


def test_a_class_folder_that_leads_nowhere_is_refused(make_images, tmp_path):
    source = make_images(CLASS_TREE)
    (source / "cow").symlink_to(tmp_path / "unmounted")
    with pytest.raises(BadData, match="cow: expected a folder, got a link that leads nowhere; mend or remove it"):
        prepare_folder(source, tmp_path, name="pets", image_size=16, skip_bad=True)


def test_a_class_that_loses_all_its_images_of_a_split_names_them(make_images, tmp_path):
    source = make_images(SPLIT_TREE)
    for i in range(3):
        (source / "test" / "dog" / f"{i}.png").write_bytes(b"no picture")
    (source / "test" / "cat" / "1.png").write_bytes(b"no picture")
    with pytest.raises(BadData) as caught:
        prepare_folder(source, tmp_path, name="pets", image_size=16, skip_bad=True)
    assert str(caught.value) == (
        "task 'pets': expected at least one image of class 'dog' in split 'test', got none but 3 that --skip-bad "
        "leaves out: test/dog/0.png, test/dog/1.png, test/dog/2.png; replace them or add images"
    )
    assert not (tmp_path / "pets").exists()


@pytest.mark.parametrize("given", [True, False])
def test_so_does_one_whose_files_are_not_there(make_images, tmp_path, given):
    source = make_images(SPLIT_TREE)
    lost = [name for name in SPLIT_TREE if "dog" in name and ("test" in name or not given)]
    for name in lost:
        (source / name).unlink()
    rows = {"file": SPLIT_TREE, "label": [Path(name).parent.name for name in SPLIT_TREE]}
    split = {"split": [name.partition("/")[0] for name in SPLIT_TREE]} if given else {}
    pd.DataFrame({**rows, **split}).to_csv(source / "t.csv", index=False)
    where = "class 'dog' in split 'test'" if given else "class 'dog'"
    with pytest.raises(BadData, match=f"{where}, got none but {len(lost)} that --skip-bad leaves out: {lost[0]}, "):
        prepare_csv(source / "t.csv", tmp_path, name="pets", image_size=16, skip_bad=True)


def test_files_of_one_name_are_told_apart_in_the_note(make_images, tmp_path):
    source = make_images(CLASS_TREE)
    for name in ("cat/1.png", "dog/1.png"):
        (source / name).write_bytes(b"no picture")
    task = prepare_folder(source, tmp_path, name="pets", image_size=16, skip_bad=True)
    assert task.info["notes"][0] == "2 images that cannot be used were left out: cat/1.png, dog/1.png"


def test_the_note_on_absolute_files_keeps_folders_of_the_machine_out(make_images, tmp_path):
    source = make_images(CLASS_TREE)
    (source / "cat/1.png").write_bytes(b"no picture")
    files = [str(source / name) for name in CLASS_TREE]
    pd.DataFrame({"file": files, "label": [name[:3] for name in CLASS_TREE]}).to_csv(tmp_path / "t.csv", index=False)
    task = prepare_csv(tmp_path / "t.csv", tmp_path, name="pets", image_size=16, skip_bad=True)
    assert task.info["notes"][0] == "1 images that cannot be used were left out: cat/1.png"
