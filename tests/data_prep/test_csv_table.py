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


def test_another_target_stands_in_the_task(table, tmp_path):
    assert prepare_csv(table(), tmp_path, name="pets", image_size=16, target="count").target == "count"
    assert load_task(tmp_path, "pets").info["target"] == "count"  # type: ignore[typeddict-item]
    assert "target" not in prepare_csv(table(), tmp_path, name="plain", image_size=16).info


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


@pytest.mark.parametrize("name", ["Group", "groups", "Label", "labels", "SPLIT", "Files"])
def test_a_column_that_resembles_a_known_one_is_refused(table, tmp_path, name):
    with pytest.raises(BadData, match=r"expected columns called file, label, split, group, got .*; call it") as caught:
        prepare_csv(table(**{name: GROUPS}), tmp_path, name="pets", image_size=16)
    assert repr(name) in str(caught.value)
    assert repr(name.strip().lower().rstrip("s")) in str(caught.value)


def test_spaces_around_cells_and_names_make_no_other_class_group_split_or_file(table, tmp_path):
    rows = zip(NAMES, PARTS, GROUPS, strict=True)
    odd = [f"{name} , {name[:3]}\t,{part} ,{group} " for name, part, group in rows]
    even = [
        f' "{name}",{name[:3]}, "{part}"\u00a0,{group}' for name, part, group in zip(NAMES, PARTS, GROUPS, strict=True)
    ]
    text = "\n".join(
        [" file,label ,split, group", *(pair[i % 2] for i, pair in enumerate(zip(odd, even, strict=True)))]
    )
    task = prepare_csv(table(text), tmp_path, name="pets", image_size=16)
    assert task.classes == ("cat", "dog")
    assert task.table["group"].tolist() == GROUPS
    assert task.table["split"].tolist() == PARTS
    assert not any("ignored" in note for note in task.info["notes"])


def test_a_patient_with_a_space_does_not_stand_in_two_splits(table, tmp_path):
    groups = [f"q{i}" for i in range(20)]
    groups[0], groups[9] = "p1 ", "p1"  # train and test
    with pytest.raises(BadData, match="got group 'p1' in train and test"):
        prepare_csv(table(split=PARTS, group=groups), tmp_path, name="pets", image_size=16)


@pytest.mark.parametrize("again", ["./cat0.png", "../pictures/cat0.png", "dog/../cat0.png", "ABSOLUTE"])
def test_one_file_under_two_spellings_is_one_file(table, tmp_path, again):
    again = str(tmp_path / "pictures" / "cat0.png") if again == "ABSOLUTE" else again
    text = f"file,label\ncat0.png,cat\ncat1.png,cat\n{again},dog\n"
    with pytest.raises(BadData, match=r"expected each file once, got .* again in row 3 .*, after 'cat0.png' in row 1"):
        prepare_csv(table(text), tmp_path, name="pets", image_size=16)


def test_blank_lines_are_skipped(table, tmp_path):
    rows = "\n,,\n\n".join(f"{name},{name[:3]},{group}" for name, group in zip(NAMES, GROUPS, strict=True))
    task = prepare_csv(table("\n \n,,\nfile,label,group\n" + rows + "\n,,\n"), tmp_path, name="pets", image_size=16)
    assert task.table["group"].tolist() == GROUPS


@pytest.mark.parametrize("comment", ["# made on Monday", '"# made on Monday, by me"'])
def test_a_comment_before_the_header_is_shown(table, tmp_path, comment):
    with pytest.raises(BadData, match=r"expected the header file,label.* as the first line, got ") as caught:
        prepare_csv(table(comment + "\nfile,label\ncat0.png,cat\n"), tmp_path, name="pets", image_size=16)
    assert repr(comment) in str(caught.value)


def test_a_column_called_by_a_hash_is_no_comment(table, tmp_path):
    rows = "".join(f"{i},{name},{name[:3]}\n" for i, name in enumerate(NAMES))
    assert len(prepare_csv(table("#,file,label\n" + rows), tmp_path, name="pets", image_size=16).table) == 20


@pytest.mark.parametrize(
    ("row", "got"),
    [("cat1.png, ", "row 2 below the header, file 'cat1.png'"), (",cat", "row 2 below the header, label 'cat'")],
)
def test_an_empty_cell_is_named_by_row_and_file(table, tmp_path, row, got):
    text = f"file,label\ncat0.png,cat\n{row}\ndog0.png,dog\n"
    with pytest.raises(BadData, match=f"expected a file and a label in each row, got an empty cell in {got}; fill"):
        prepare_csv(table(text), tmp_path, name="pets", image_size=16)


def test_a_column_twice_is_refused(table, tmp_path):
    rows = "".join(f"{name},{name[:3]},a,b\n" for name in NAMES)
    with pytest.raises(BadData, match=r"expected one column called 'group', got 2; remove one"):
        prepare_csv(table("file,label,group,group \n" + rows), tmp_path, name="pets", image_size=16)


def test_other_columns_are_ignored_by_name(table, tmp_path):
    task = prepare_csv(table(age=["7"] * 20, patient_id=GROUPS), tmp_path, name="pets", image_size=16)
    assert task.split_name == "random"
    assert task.info["notes"][0].startswith(
        "columns that were ignored: 'age', 'patient_id'; only one called group keeps"
    )


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_semicolons_and_tabs_are_separators_too(table, tmp_path, separator, quote):
    rows = [["file", "label", "group"], *([name, name[:3], group] for name, group in zip(NAMES, GROUPS, strict=True))]
    text = "".join(separator.join(f"{quote}{cell}{quote}" for cell in row) + "\r\n" for row in rows)
    task = prepare_csv(table(text), tmp_path, name="pets", image_size=16)
    assert task.table["group"].tolist() == GROUPS


def test_rows_longer_than_the_header_are_refused(table, tmp_path):
    with pytest.raises(BadData, match="Expected 2 fields in line 2, saw 3"):
        prepare_csv(table("file,label\n" + "".join(f"{n},{n[:3]},x\n" for n in NAMES)), tmp_path, name="pets")


def test_other_words_for_the_splits_are_understood(table, tmp_path):
    words = {"train": "Training", "val": "valid", "test": " testing"}
    task = prepare_csv(table(split=[words[part] for part in PARTS]), tmp_path, name="pets", image_size=16)
    assert task.table["split"].tolist() == PARTS
    again = prepare_csv(
        table(split=["validation" if part == "val" else part for part in PARTS]), tmp_path, name="b", image_size=16
    )
    assert again.table["split"].tolist() == PARTS


def test_all_bad_images_are_named_at_once_or_left_out(table, tmp_path):
    file = table(split=PARTS)
    for name in ("cat1.png", "dog3.png", "dog7.png"):
        (file.parent / name).write_bytes(b"no picture")
    with pytest.raises(BadData) as caught:
        prepare_csv(file, tmp_path, name="pets", image_size=16)
    said = str(caught.value)
    assert "task 'pets': 3 of 20 images cannot be used: " in said
    assert all(name in said for name in ("cat1.png: expected an image", "dog3.png", "dog7.png"))
    assert said.endswith("--skip-bad leaves them out")
    assert "\n" not in said
    assert not (tmp_path / "pets").exists()
    task = prepare_csv(file, tmp_path, name="pets", image_size=16, skip_bad=True)
    assert len(task.table) == 17
    assert not set(task.table["file"]) & {"images/cat/cat1.png", "images/dog/dog3.png", "images/dog/dog7.png"}
    assert "3 images that cannot be used were left out: cat1.png, dog3.png, dog7.png" in task.info["notes"]
    assert task.info["counts"] == load_task(tmp_path, "pets").info["counts"]


def test_a_long_list_of_bad_images_is_bounded(table, tmp_path, monkeypatch):
    monkeypatch.setattr("data_prep.images.LISTED", 4)
    file = table()
    for name in NAMES[:8]:
        (file.parent / name).unlink()
    with pytest.raises(BadData, match=r"image cat0.png, cat1.png, cat2.png, cat3.png and 4 more, got no such file"):
        prepare_csv(file, tmp_path, name="pets", image_size=16)


def test_missing_images_are_left_out_too(table, tmp_path):
    file = table()
    (file.parent / "cat0.png").unlink()
    task = prepare_csv(file, tmp_path, name="pets", image_size=16, skip_bad=True)
    assert len(task.table) == 19
    assert "1 images of the table that are not there were left out: cat0.png" in task.info["notes"]


def test_the_options_reach_the_preparation_and_the_notes_the_terminal(table, tmp_path):
    from typer.testing import CliRunner

    from pathsearch.cli.main import app

    file = table(split=PARTS, age=["7"] * 20)
    (file.parent / "cat1.png").write_bytes(b"no picture")
    command = ["prepare", "csv", "--source", str(file), "--name", "pets", "--image-size", "16"]
    command += ["--data-dir", str(tmp_path / "data"), "--skip-bad", "--no-look-alikes"]
    said = CliRunner().invoke(app, command, catch_exceptions=False)
    assert said.exit_code == 0
    for words in ("'age'", "were left out: cat1.png", "look-alikes across splits were not looked for"):
        assert words in said.stdout
    assert load_task(tmp_path / "data", "pets").info["leakage"]["look_alikes"] is None
