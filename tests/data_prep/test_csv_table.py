from __future__ import annotations

import pandas as pd
import pytest

from data_prep.csv_table import prepare_csv
from data_prep.errors import BadData
from data_prep.manifest import load_task

NAMES = [f"{label}{i}.png" for label in ("cat", "dog") for i in range(10)]


@pytest.fixture
def table(make_images, tmp_path):
    """A CSV `pictures/table.csv` over 20 images with the given further columns."""

    def make(text=None, **columns):
        folder = make_images(NAMES)
        rows = {"file": NAMES, "label": [name[:3] for name in NAMES], **columns}
        if text is None:
            pd.DataFrame(rows).to_csv(folder / "table.csv", index=False)
        else:
            (folder / "table.csv").write_bytes(text.encode() if isinstance(text, str) else text)
        return folder / "table.csv"

    return make


PARTS = (["train"] * 6 + ["val"] * 2 + ["test"] * 2) * 2
GROUPS = [f"g{i // 2}" for i in range(20)]


@pytest.mark.parametrize(
    ("columns", "split"),
    [
        ({}, "random"),
        ({"group": GROUPS}, "patient"),
        ({"split": PARTS}, "official"),
        ({"split": PARTS, "group": GROUPS}, "official"),
    ],
)
def test_the_columns_decide_the_split(table, tmp_path, columns, split):
    task = prepare_csv(table(**columns), tmp_path, name="pets", image_size=16)
    assert task.split_name == split
    if split == "official":
        assert task.table["split"].tolist() == PARTS
    assert task.table["group"].tolist() == columns.get("group", [""] * 20)


def test_an_edited_manifest_is_registered_again_under_its_own_name(table, tmp_path):
    first = prepare_csv(table(split=PARTS), tmp_path, name="pets", image_size=16, classes="dog,cat")
    manifest = first.task_dir / "manifest.csv"
    edited = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    edited.loc[0, "label"] = "dog"
    edited.to_csv(manifest, index=False)
    with pytest.raises(BadData, match=r"pathsearch prepare csv"):
        load_task(tmp_path, "pets")
    again = prepare_csv(manifest, tmp_path, name="pets", image_size=16, overwrite=True)
    assert again.classes == ("cat", "dog")
    assert again.table["label"][0] == "dog"
    assert again.images_digest != ""
    assert load_task(tmp_path, "pets").digest == again.digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,klass\ncat0.png,cat\n", "expected rows under a header with file,label"),
        ("file,label\n", "got no rows"),
        ("", "expected a CSV table in UTF-8"),
        (b"file,label\n\xff\xfe,cat\n", "expected a CSV table in UTF-8"),
        ("file,label\nnone.png,cat\n", "expected image none.png, got no such file"),
        ("file,label\ncat0.png,cat\ncat0.png,dog\n", "expected each file once, got 'cat0.png' again"),
        ("file,label,split\ncat0.png,cat,train\ncat1.png,dog,dev\n", "expected a test split in the source"),
    ],
)
def test_a_bad_table_is_named(table, tmp_path, text, message):
    with pytest.raises(BadData) as caught:
        prepare_csv(table(text), tmp_path, name="pets", image_size=16)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_labels_outside_the_classes_and_torn_groups_are_named(table, tmp_path):
    with pytest.raises(BadData, match=r"expected as label one of 'cat', 'cow', got 'dog'"):
        prepare_csv(table(), tmp_path, name="pets", image_size=16, classes="cat,cow")
    with pytest.raises(BadData, match=r"got group 'g' in train and val and test"):
        prepare_csv(table(split=PARTS, group=["g"] * 20), tmp_path, name="pets", image_size=16)
    with pytest.raises(BadData, match=r"got nothing there"):
        prepare_csv(tmp_path / "no.csv", tmp_path, name="pets")
