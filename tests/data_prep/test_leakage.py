from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data_prep import leakage
from data_prep.csv_table import prepare_csv
from data_prep.errors import BadData, PathsearchError
from data_prep.fingerprints import ALIKE, N_BITS, Fingerprint, fingerprint
from data_prep.folder import prepare_folder
from data_prep.leakage import keep_apart
from data_prep.look_alikes import n_alike
from data_prep.manifest import load_task
from data_prep.npz import prepare_npz

OFFICIAL = {"name": "official"}
RANDOM = {"name": "random", "groups_apart": False}


def picture(seed: int, size: int = 64) -> Image.Image:
    """A smooth random picture, unlike that of any other seed."""
    tiny = np.random.default_rng(seed).integers(0, 256, (9, 9), dtype=np.uint8)
    return Image.fromarray(tiny).resize((size, size), Image.Resampling.BICUBIC)


@pytest.fixture
def pictures(tmp_path):
    """A folder with splits, three pictures a class and split, and copies `{new file: file it is a copy of}`."""

    def make(copies):
        seed = 0
        for part in ("train", "val", "test"):
            for label in ("cat", "dog"):
                for number in range(3):
                    file = tmp_path / "raw" / part / label / f"{number}.png"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    picture(seed).save(file)
                    seed += 1
        for new, old in copies.items():
            with Image.open(tmp_path / "raw" / old) as image:
                image.save(tmp_path / "raw" / new)
        return tmp_path / "raw"

    return make


def prepare(source, data_dir, **options):
    return prepare_folder(source, data_dir, name="pets", image_size=32, **options)


def torn(task) -> int:
    """Pictures of a prepared task that stand in two splits: the property that `move` promises to be 0."""
    splits: dict[bytes, set[str]] = {}
    for file, split in zip(task.files(), task.table["split"], strict=True):
        with Image.open(file) as image:
            splits.setdefault(image.convert("RGB").tobytes(), set()).add(split)
    return sum(len(of_one) > 1 for of_one in splits.values())


# --- copies ---------------------------------------------------------------------------------------------------------


def test_a_copy_in_train_and_test_is_refused_and_named(pictures, tmp_path):
    # another format: what counts is the pixels
    source = pictures({"test/dog/again.bmp": "train/dog/1.png"})
    with pytest.raises(BadData) as caught:
        prepare(source, tmp_path)
    said = str(caught.value)
    assert "task 'pets': expected each image in one split, got 1 that are in several" in said
    assert "images/dog/test-again.png (test) and images/dog/train-1.png (train)" in said
    assert "--duplicates move" in said
    assert "\n" not in said
    assert not (tmp_path / "pets").exists()


def test_a_copy_under_another_label_is_named_as_such(pictures, tmp_path):
    source = pictures({"test/cat/again.png": "train/dog/1.png"})
    with pytest.raises(BadData, match=r"1 of them under two labels.*\(train, labels 'cat' and 'dog'\)"):
        prepare(source, tmp_path)
    within = pictures({"test/cat/again.png": "test/cat/0.png", "train/cat/again.png": "train/dog/1.png"})
    task = prepare(within, tmp_path)
    assert any("1 pictures stand under two labels, such as images/cat/train-again.png" in n for n in task.info["notes"])
    assert task.info["leakage"]["identical"]["sets_with_two_labels"] == 1


def test_moving_never_touches_a_published_test_set(pictures, tmp_path):
    source = pictures({"test/dog/again.png": "train/dog/1.png", "val/cat/again.png": "train/cat/2.png"})
    assert torn(prepare(source, tmp_path / "as-it-is", duplicates="report")) == 2, "the planted copies"
    task = prepare(source, tmp_path, duplicates="move")
    assert torn(task) == 0
    files = dict(zip(task.table["file"], task.table["split"], strict=True))
    assert "images/dog/train-1.png" not in files, "the training copy of a test image is removed"
    assert not (task.task_dir / "images/dog/train-1.png").exists()
    assert files["images/dog/test-again.png"] == "test"
    assert files["images/cat/val-again.png"] == "train", "validation's copy goes where training's is"
    assert len(task.rows("test")) == 7
    identical = task.info["leakage"]["identical"]
    assert (identical["sets_across_splits"], identical["moved_to_train"], identical["removed"]) == (2, 1, 1)
    assert any("1 training and validation images were removed" in note for note in task.info["notes"])
    assert load_task(tmp_path, "pets").digest == task.digest


def test_reporting_keeps_all_and_says_so(pictures, tmp_path):
    task = prepare(pictures({"test/dog/again.png": "train/dog/1.png"}), tmp_path, duplicates="report")
    assert len(task.table) == 19
    assert any(note.startswith("LEAK: 1 pictures stand in two splits, such as") for note in task.info["notes"])


def test_no_copies_no_words(pictures, tmp_path):
    task = prepare(pictures({}), tmp_path)
    assert task.info["notes"] == []
    assert task.info["leakage"]["identical"]["images"] == 0
    assert {key: n for key, n in task.info["leakage"]["look_alikes"].items() if key != "rule"} == {
        "val_in_train": 0, "test_in_train": 0, "test_in_val": 0
    }  # fmt: skip


def test_copies_of_a_random_split_go_to_train(tmp_path):
    for number in range(30):
        file = tmp_path / "raw" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        picture(number // 6 * 2 + number % 2).save(file)  # each picture three times
    with pytest.raises(BadData, match="that are in several"):
        prepare(tmp_path / "raw", tmp_path, split="random")
    with pytest.raises(BadData, match="at least one image of class"):
        prepare(tmp_path / "raw", tmp_path, split="random", duplicates="move")  # all copies: nothing is left to test


def test_groups_move_as_a_whole(tmp_path):
    rows = ["file,label,split,group"]
    for number, (split, group) in enumerate([("train", "p1"), ("val", "p2"), ("test", "p3")] * 4):
        for label in ("cat", "dog"):
            picture(2 * number + (label == "dog")).save(tmp_path / f"{number}{label}.png")
            rows.append(f"{number}{label}.png,{label},{split},{group}{label}{number}")
    for name, group in (("x1", "p2more"), ("x2", "p2more")):
        picture(100 + int(name[1])).save(tmp_path / f"{name}.png")
        rows.append(f"{name}.png,cat,val,{group}")
    picture(101).save(tmp_path / "copy.png")  # x1 again, in training
    rows.append("copy.png,cat,train,p1copy")
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    task = prepare_csv(tmp_path / "t.csv", tmp_path / "data", name="pets", image_size=32, duplicates="move")
    where = dict(zip(task.table["file"], task.table["split"], strict=True))
    assert where["images/cat/x1.png"] == where["images/cat/x2.png"] == "train", "one patient, one split"
    assert torn(task) == 0


def test_published_arrays_are_reported_not_changed(tmp_path):
    arrays = {}
    for part, n in (("train", 8), ("val", 4), ("test", 6)):
        arrays[f"{part}_images"] = np.stack([np.asarray(picture(n * 100 + i, 28)) for i in range(n)])
        arrays[f"{part}_labels"] = np.arange(n) % 2
    arrays["val_images"][0] = arrays["train_images"][2]
    np.savez(tmp_path / "toy.npz", **arrays)
    task = prepare_npz(tmp_path / "toy.npz", tmp_path)
    assert [len(task.rows(part)) for part in ("train", "val", "test")] == [8, 4, 6]
    assert any("LEAK: 1 pictures" in note for note in task.info["notes"])
    with pytest.raises(BadData, match="got 1 that are in several"):
        prepare_npz(tmp_path / "toy.npz", tmp_path, name="strict", duplicates="refuse")


def test_an_unknown_action_is_refused(pictures, tmp_path):
    with pytest.raises(PathsearchError, match="--duplicates: expected refuse, move, report, got 'drop'"):
        prepare(pictures({}), tmp_path, duplicates="drop")


@settings(max_examples=60)
@given(data=st.data())
def test_moving_leaves_no_picture_and_no_group_in_two_splits(data):
    import pandas as pd

    n = data.draw(st.integers(1, 14))
    some = st.lists(st.sampled_from("abcde"), min_size=n, max_size=n)
    digests, owners = data.draw(some), data.draw(some)
    official = data.draw(st.booleans())
    of_group = {name: data.draw(st.sampled_from(["train", "val", "test"])) for name in "abcde"}
    table = pd.DataFrame(
        {"file": [f"{i}.png" for i in range(n)], "label": "x", "split": [of_group[o] for o in owners], "group": owners}
    )
    prints = [Fingerprint(one.encode(), np.arange(N_BITS) % 2 == 0) for one in digests]
    split = {"name": "official" if official else "patient", "groups_apart": True}
    apart = keep_apart(table, prints, split, "move", "t")
    left = apart.table.assign(digest=[digests[int(file[:-4])] for file in apart.table["file"]])
    assert (left.groupby("digest")["split"].nunique() <= 1).all()
    assert (left.groupby("group")["split"].nunique() <= 1).all()
    if official:
        tests = [set(t["file"][t["split"] == "test"]) for t in (table, left)]
        assert tests[0] == tests[1]
    else:
        assert len(left) == n


# --- look-alikes ----------------------------------------------------------------------------------------------------


def jpeg(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=60)
    return Image.open(file).convert("L")


CHANGES = {
    "jpeg": jpeg,
    "smaller": lambda image: image.resize((40, 40), Image.Resampling.LANCZOS).resize((64, 64)),
    "brighter": lambda image: image.point(lambda value: value * 0.9 + 12),
    "cropped": lambda image: image.crop((1, 1, 63, 63)).resize((64, 64)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_a_look_alike_but_no_copy(change):
    ours = [fingerprint(CHANGES[change](picture(seed))) for seed in range(10)]
    theirs = [fingerprint(picture(seed)) for seed in range(10)]
    assert not {one.digest for one in ours} & {one.digest for one in theirs}
    assert n_alike(ours, theirs) == 10


def test_strangers_are_no_look_alikes():
    assert n_alike(*[[fingerprint(picture(seed)) for seed in range(a, a + 40)] for a in (0, 40)]) == 0
    assert n_alike([], [fingerprint(picture(0))]) == 0


def test_the_limit_is_exact():
    base = np.arange(N_BITS) % 3 == 0
    near, far = base.copy(), base.copy()
    near[:ALIKE] ^= True
    far[: ALIKE + 1] ^= True
    one = Fingerprint(b"0", base)
    assert n_alike([Fingerprint(b"1", near)], [one]) == 1
    assert n_alike([Fingerprint(b"2", far)], [one]) == 0
    assert n_alike([one] * 2500, [Fingerprint(b"2", far)] * 3 + [one]) == 2500, "over several blocks"


def test_grey_and_its_colour_form_are_one_picture():
    grey = picture(3)
    assert fingerprint(grey).digest == fingerprint(grey.convert("RGB")).digest
    wide = Image.new("L", (4, 2))
    assert fingerprint(wide).digest != fingerprint(wide.resize((2, 4))).digest, "the same bytes, another shape"


def test_look_alikes_are_counted_and_reported(pictures, tmp_path):
    source = pictures({})
    with Image.open(source / "train/dog/1.png") as image:
        jpeg(image).save(source / "test/dog/near.png")
    task = prepare(source, tmp_path)
    assert task.info["leakage"]["look_alikes"]["test_in_train"] == 1
    assert any("look-alikes across splits: 1 of 7 test images in train" in note for note in task.info["notes"])


def test_looking_for_look_alikes_can_be_left_out(pictures, tmp_path, monkeypatch):
    source = pictures({})
    with Image.open(source / "train/dog/1.png") as image:
        jpeg(image).save(source / "test/dog/near.png")
    monkeypatch.setattr(leakage, "n_alike", None)
    task = prepare(source, tmp_path, look_alikes=False)
    assert task.info["leakage"]["look_alikes"] is None
    assert "look-alikes across splits were not looked for" in task.info["notes"]
    assert task.info["leakage"]["identical"]["images"] == 0


def test_actions_are_those_of_the_help():
    from pathsearch.cli.prepare import Duplicates

    words = Duplicates.__metadata__[0].help  # type: ignore[attr-defined]
    assert all(action in words for action in leakage.ACTIONS)
