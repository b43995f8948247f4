from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from data_prep.errors import BadData, DataNotPrepared, PathsearchError
from data_prep.manifest import COLUMNS, SPLITS, check_table, load_task, prepared_tasks, save_task
from pathsearch.cli.terminal import Terminal

CLASSES = ("cat", "dog")
SPLIT = {"name": "official", "words": "official split of the source", "seed": 0, "fractions": None}


def good_table(n=2):
    """`n` images of each class in each split, each in a group of its own."""
    rows = [
        {"file": f"images/{split}-{label}-{i}.png", "label": label, "split": split, "group": f"{split}{label}{i}"}
        for split in SPLITS
        for label in CLASSES
        for i in range(n)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def save(data_dir: Path, table=None, name="pets", classes=CLASSES, split=SPLIT):
    table = good_table() if table is None else table
    for number, file in enumerate(table["file"]):
        (data_dir / name / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), number % 256).save(data_dir / name / file)
    return save_task(
        data_dir / name,
        name=name,
        classes=classes,
        table=table,
        split=split,
        source="drawn here",
        licence="CC0",
        options={"image_size": 4},
        notes=["a note"],
    )


def test_a_saved_task_loads_as_it_was(tmp_path):
    saved = save(tmp_path)
    loaded = load_task(tmp_path, "pets")
    pd.testing.assert_frame_equal(loaded.table, saved.table)
    assert (loaded.classes, loaded.digest, loaded.info) == (saved.classes, saved.digest, saved.info)
    assert loaded.info["counts"] == {split: {"cat": 2, "dog": 2} for split in SPLITS}
    assert (loaded.split_name, loaded.split_in_words) == ("official", "official split of the source")
    assert loaded.info["image_size"] == 4


def test_rows_labels_and_files_go_together(tmp_path):
    table = good_table().sample(frac=1, random_state=3).reset_index(drop=True)
    task = save(tmp_path, table)
    files = task.files()
    assert all(file.is_absolute() and file.is_file() for file in files)
    seen = []
    for split in SPLITS:
        rows, labels = task.rows(split), task.labels(split)
        assert rows.dtype == labels.dtype == np.int64
        for row, label in zip(rows, labels, strict=True):
            assert f"{split}-{task.classes[label]}-" in files[row].name
        seen += rows.tolist()
    assert sorted(seen) == list(range(len(files)))
    with pytest.raises(ValueError, match=r"expected one of train, val, test, got 'dev'"):
        task.rows("dev")


text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(
    lambda word: word.isprintable() and word.strip()
)


@given(st.lists(text, min_size=2, max_size=4, unique=True), text)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_printable_label_and_group_survives_the_round_trip(tmp_path_factory, classes, group):
    rows = [
        {"file": f"images/{split}{i}.png", "label": label, "split": split, "group": f"{split}{group}"}
        for split in SPLITS
        for i, label in enumerate(classes)
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    data_dir = tmp_path_factory.mktemp("data")
    save(data_dir, table, classes=classes)
    loaded = load_task(data_dir, "pets")
    assert loaded.table.values.tolist() == table.values.tolist()
    assert loaded.classes == tuple(classes)


def test_words_that_pandas_reads_as_missing_stay_words(tmp_path):
    table = good_table().replace({"label": {"cat": "NA", "dog": "null"}})
    table.loc[0, "group"] = "007"
    save(tmp_path, table, classes=("NA", "null"))
    loaded = load_task(tmp_path, "pets")
    assert set(loaded.table["label"]) == {"NA", "null"}
    assert loaded.table["group"][0] == "007"


def edit(table, row, column, value):
    table = table.copy()
    table.loc[row, column] = value
    return table


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop(columns="group"), "expected the columns file,label,split,group, got file,label,split"),
        (lambda t: t.iloc[:0], "expected one row an image, got none"),
        (lambda t: edit(t, 3, "split", "dev"), "line 5: expected as split one of 'train', 'val', 'test', got 'dev'"),
        (lambda t: edit(t, 1, "label", "cow"), "line 3: expected as label one of 'cat', 'dog', got 'cow'"),
        (lambda t: edit(t, 1, "file", t["file"][0]), "expected each file once, got 'images/train-cat-0.png' again"),
        (lambda t: edit(t, 0, "file", "../x.png"), "line 2: expected a file inside the task's folder"),
        (lambda t: edit(t, 0, "file", "/etc/x.png"), "expected a file inside the task's folder"),
        (lambda t: edit(t, 0, "file", "C:/x.png"), "expected a file inside the task's folder"),
        (lambda t: edit(t, 0, "file", "images\\x.png"), "expected a file inside the task's folder"),
        (lambda t: edit(t, 0, "file", ""), "expected a file inside the task's folder"),
        (lambda t: edit(t, 0, "file", "a\nb.png"), "expected printable text as file"),
        (lambda t: edit(t.astype(object), 0, "group", 7), "line 2: expected printable text as group, got 7"),
        (lambda t: edit(t, 0, "group", "valcat0"), "got group 'valcat0' in train and val"),
        (
            lambda t: t[~((t["split"] == "val") & (t["label"] == "dog"))],
            "expected at least one image of class 'dog' in split 'val', got none",
        ),
    ],
)
def test_a_planted_fault_is_named(spoil, message):
    check_table(good_table(), CLASSES, "the table")
    with pytest.raises(BadData) as caught:
        check_table(spoil(good_table()), CLASSES, "the table")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_groups_in_two_splits_pass_only_where_the_split_says_so(tmp_path):
    torn = edit(good_table(), 0, "group", "valcat0")
    with pytest.raises(BadData, match=r"each group in one split"):
        save(tmp_path, torn)
    save(tmp_path, torn, split={**SPLIT, "name": "random", "groups_apart": False})
    assert load_task(tmp_path, "pets").split_name == "random"


def test_images_without_a_group_are_not_one_group():
    table = good_table()
    table["group"] = ""
    check_table(table, CLASSES, "the table")


@pytest.mark.parametrize(
    ("classes", "message"),
    [(("cat",), "at least two classes"), (("cat", "cat"), "distinct class names"), (("cat", " "), "printable")],
)
def test_bad_classes_are_refused(tmp_path, classes, message):
    with pytest.raises(BadData, match=message):
        save(tmp_path, classes=classes)


@pytest.mark.parametrize(
    "name", ["", "a/b", "..", ".hidden", "raw", "a b", "features", "Features", "RAW", "x" * 101, "x\n"]
)
def test_bad_task_names_are_refused(tmp_path, name):
    with pytest.raises(PathsearchError, match=r"task name: expected"):
        load_task(tmp_path, name)


def test_a_missing_task_prints_its_command_and_what_is_there(tmp_path):
    save(tmp_path)
    with pytest.raises(
        DataNotPrepared, match=r"prepared there: pets\); .* run: pathsearch prepare ecg --source physionet"
    ):
        load_task(tmp_path, "ecg")
    with pytest.raises(DataNotPrepared, match=r"pathsearch prepare pneumonia --source FOLDER"):
        load_task(tmp_path, "pneumonia")
    with pytest.raises(DataNotPrepared, match=r"pathsearch prepare folder --source FOLDER --name birds --data-dir"):
        load_task(tmp_path, "birds")
    with pytest.raises(DataNotPrepared, match=r"prepared there: no task"):
        load_task(tmp_path / "nowhere", "ecg")


def test_the_default_data_folder_needs_no_option(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataNotPrepared, match=r"--source physionet$") as caught:
        load_task(Path("data"), "ecg")
    assert f"is not prepared in {tmp_path / 'data'} (prepared" in str(caught.value)
    assert "another folder is named by --data-dir" in str(caught.value)


def test_an_edited_manifest_is_found(tmp_path):
    save(tmp_path)
    manifest = tmp_path / "pets" / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("cat,train", "dog,train", 1))
    with pytest.raises(BadData, match=r"manifest was edited .* pathsearch prepare csv --source"):
        load_task(tmp_path, "pets")


def test_a_missing_image_or_manifest_is_found(tmp_path):
    task = save(tmp_path)
    task.files()[3].unlink()
    with pytest.raises(BadData, match=r"expected image images/train-dog-1.png, got no such file"):
        load_task(tmp_path, "pets")
    (tmp_path / "pets" / "manifest.csv").unlink()
    with pytest.raises(BadData, match=r"expected the manifest of task 'pets', got no such file"):
        load_task(tmp_path, "pets")


@pytest.mark.parametrize("spoiled", ["{", "[]", "{}", "7", "null", "\x00", "[" * 100_000])
def test_a_damaged_task_json_is_found(tmp_path, spoiled):
    save(tmp_path)
    (tmp_path / "pets" / "task.json").write_text(spoiled)
    with pytest.raises(BadData, match=r"task.json: expected the description of a prepared task"):
        load_task(tmp_path, "pets")


def spoil(tmp_path, where, value):
    """Put `value` into a field of task.json, `a.b` for b in a; `...` takes the field out."""
    file = tmp_path / "pets" / "task.json"
    info = json.loads(file.read_text())
    inner = info
    *outer, last = where.split(".")
    for name in outer:
        inner = inner[name]
    inner.pop(last, None) if value is ... else inner.update({last: value})
    file.write_text(json.dumps(info))


FIELDS = (
    "name", "classes", "counts", "imbalance", "source", "licence", "split", "split.name", "split.words", "image_size",
    "options", "notes", "leakage", "manifest_sha256", "images_sha256", "split.groups_apart", "options.mirror",
    "counts.train", "counts.train.cat",
)  # fmt: skip
WRONG = (..., None, True, 7, -1, 0.5, float("nan"), float("inf"), "", "x", "../../x", [], [1], {}, {"x": []}, [[]])


@pytest.mark.parametrize("field", FIELDS)
def test_no_field_of_task_json_gives_a_traceback(tmp_path, field):
    """Each field taken out and replaced: one line that names the file, or a task on which everything works."""
    save(tmp_path)
    whole = (tmp_path / "pets" / "task.json").read_text()
    refused = 0
    for value in WRONG:
        (tmp_path / "pets" / "task.json").write_text(whole)
        spoil(tmp_path, field, value)
        try:
            task = load_task(tmp_path, "pets")
        except BadData as fault:
            refused += 1
            words = str(fault)
            assert ("task.json" in words, "\n" in words) == (True, False), value
            continue
        assert len(task.classes) == 2
        assert task.split_name in ("official", "x")
        assert all(isinstance(text, str) for text in (task.split_in_words, task.fingerprint))
        assert task.mirror in (True, False)
        if "imbalance" in task.info:
            Terminal().task_lines(task)
        assert max(task.info.get("image_size") or 64, 32) >= 32
        json.dumps(task.info, allow_nan=False)
    assert refused >= (5 if field in ("leakage", "source", "licence", "split.words", "image_size", "notes") else 10)


@pytest.mark.parametrize("name", ["../../x", "a/b", "", ".x", "a b", "x\n"])
def test_a_split_that_would_leave_the_runs_folder_is_refused(tmp_path, name):
    save(tmp_path)
    spoil(tmp_path, "split.name", name)
    with pytest.raises(BadData, match=r"task.json: expected the description .* got for 'split.name', where letters"):
        load_task(tmp_path, "pets")


def test_counts_that_are_not_the_manifests_are_found(tmp_path):
    save(tmp_path)
    spoil(tmp_path, "counts.test.dog", 3)
    with pytest.raises(BadData, match=r"task.json: expected the counts of the manifest"):
        load_task(tmp_path, "pets")


def test_a_change_that_no_field_tells_is_found(tmp_path):
    save(tmp_path)
    spoil(tmp_path, "licence", "another")
    with pytest.raises(BadData, match=r"task.json: expected what was written, .*; put a copy back, or prepare task"):
        load_task(tmp_path, "pets")
    spoil(tmp_path, "sha256", ...)
    assert load_task(tmp_path, "pets").info["licence"] == "another", "one of an earlier version has no digest"


def test_a_task_that_stepped_aside_is_loaded(tmp_path):
    save(tmp_path)
    (tmp_path / "pets").rename(tmp_path / ".pets.0123abcd.old")
    assert load_task(tmp_path, "pets").name == "pets"


def test_a_renamed_folder_is_found(tmp_path):
    save(tmp_path)
    (tmp_path / "pets").rename(tmp_path / "zoo")
    with pytest.raises(BadData, match=r"expected task 'zoo', got 'pets'"):
        load_task(tmp_path, "zoo")


def test_a_task_without_task_json_is_unfinished(tmp_path):
    save(tmp_path)
    (tmp_path / "pets" / "task.json").unlink()
    assert prepared_tasks(tmp_path) == []
    with pytest.raises(DataNotPrepared):
        load_task(tmp_path, "pets")


def test_the_images_digest_sees_pixels_that_the_manifest_digest_cannot(tmp_path):
    before = save(tmp_path)
    Image.new("L", (4, 4), 255).save(before.files()[0])
    table = load_task(tmp_path, "pets").table
    after = save_task(
        tmp_path / "pets",
        name="pets",
        classes=CLASSES,
        table=table,
        split=SPLIT,
        source="",
        licence="",
        options={},
        notes=[],
    )
    assert after.digest == before.digest
    assert after.images_digest != before.images_digest


def test_task_json_is_plain_json(tmp_path):
    save(tmp_path)
    info = json.loads((tmp_path / "pets" / "task.json").read_text())
    assert {"name", "classes", "counts", "source", "licence", "split", "options", "notes", "image_size"} <= set(info)


def test_imbalance_is_of_the_training_images(tmp_path):
    table = good_table(3)
    drop = (table["split"] == "train") & (table["label"] == "dog") & (table["group"] != "traindog0")
    assert save(tmp_path, table[~drop].reset_index(drop=True)).info["imbalance"] == 3.0  # 3 cats, 1 dog
    assert save(tmp_path, name="even").info["imbalance"] == 1.0
