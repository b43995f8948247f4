from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import splits
from data_prep.errors import BadData, PathsearchError
from data_prep.splits import DS1, DS2, PACED, assign, ds1_ds2_split, official_split, patient_split, random_split

SPLITS = ("train", "val", "test")


def assert_no_group_twice(split, groups):
    where = {}
    for part, group in zip(split, groups, strict=True):
        assert where.setdefault(group, part) == part, f"group {group} in {where[group]} and {part}"


def assert_every_class_everywhere(split, labels):
    assert set(zip(split, labels, strict=True)) == {(part, label) for part in SPLITS for label in set(labels)}


def test_the_two_helpers_reject_what_they_should():
    with pytest.raises(AssertionError, match=r"group g in train and val"):
        assert_no_group_twice(["train", "val"], ["g", "g"])
    with pytest.raises(AssertionError):
        assert_every_class_everywhere(["train", "val", "test"], ["a", "a", "b"])


@st.composite
def grouped_rows(draw):
    """Labels and groups in which each class has at least five groups, some with several classes."""
    labels, groups = [], []
    for label in "abc"[: draw(st.integers(2, 3))]:
        first = draw(st.integers(0, 4))
        for group in range(first, first + draw(st.integers(5, 12))):
            size = draw(st.integers(1, 6))
            labels += [label] * size
            groups += [f"g{group}"] * size
    order = draw(st.permutations(range(len(labels))))
    return [labels[i] for i in order], [groups[i] for i in order]


@given(grouped_rows(), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_patient_keeps_groups_together_and_classes_everywhere(rows, seed):
    labels, groups = rows
    split, facts = patient_split(labels, groups, seed)
    assert_no_group_twice(split, groups)
    assert_every_class_everywhere(split, labels)
    again, _ = patient_split(labels, groups, seed)
    assert split.tolist() == again.tolist()
    assert facts["groups_apart"] is True
    assert facts["seed"] == seed


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=80), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_random_is_stratified_to_the_row(labels, seed):
    labels = labels + ["a", "b"] * 3 + ["c"] * 3
    split, _ = random_split(labels, [""] * len(labels), seed)
    assert_every_class_everywhere(split, labels)
    count = Counter(zip(split, labels, strict=True))
    for label, n in Counter(labels).items():
        for part in ("val", "test"):
            assert count[part, label] == max(1, round(0.2 * n))
    assert split.tolist() == random_split(labels, [""] * len(labels), seed)[0].tolist()


def test_seeds_differ():
    labels, groups = ["a", "b"] * 60, [f"g{i // 4}" for i in range(120)]
    for make in (random_split, patient_split):
        drawn = {tuple(make(labels, groups, seed)[0]) for seed in range(5)}
        assert len(drawn) == 5


def test_random_says_that_patients_are_divided_only_where_they_are():
    labels = ["a", "b"] * 20
    assert random_split(labels, [""] * 40, 0)[1]["words"] == "random stratified split of images, 60/20/20"
    words = random_split(labels, ["p", "q"] * 20, 0, "beats")[1]["words"]
    assert words == ("random stratified split of beats, 60/20/20, so beats of one patient stand in training and test")


def test_patient_shares_come_close_with_many_groups():
    rng = np.random.default_rng(0)
    groups = [f"g{i}" for i in rng.integers(0, 300, 4000)]
    labels = rng.choice(["a", "b"], 4000, p=[0.8, 0.2]).tolist()
    split, _ = patient_split(labels, groups, 0)
    for label in "ab":
        shares = [np.mean(split[np.array(labels) == label] == part) for part in SPLITS]
        assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.03)


def test_a_class_in_two_groups_cannot_be_split_by_patient():
    labels, groups = ["a"] * 20 + ["b"] * 20, [f"g{i}" for i in range(20)] + ["x", "y"] * 10
    with pytest.raises(BadData, match=r"class 'b' in at least 3 groups, one for each split, got 2"):
        patient_split(labels, groups, 0)


def test_groups_that_contradict_each_other_are_an_error_not_a_loop():
    # a needs 1, 2, 3 apart; b needs 1, 2, 4 apart, so 3 and 4 go together; c needs 1, 3, 4 apart.
    where = {"a": "123", "b": "124", "c": "134"}
    labels = [label for label, groups in where.items() for _ in groups for _ in range(2)]
    groups = [group for groups in where.values() for group in groups for _ in range(2)]
    with pytest.raises(BadData, match=r"got no such split in 20000 draws of 4 groups"):
        patient_split(labels, groups, 0)


def test_patient_needs_groups():
    with pytest.raises(BadData, match=r"expected a group .* got none; give groups, or use --split random"):
        patient_split(["a", "b"] * 9, [""] * 18, 0)


def test_random_needs_an_image_of_each_class_for_each_split():
    with pytest.raises(BadData, match=r"at least 3 images of class 'b', one a split, got 2"):
        random_split(["a"] * 10 + ["b"] * 2, [""] * 12, 0)


def official(n_val):
    """1,000 training and validation images of 250 persons, and 100 test images."""
    groups = [f"p{i // 4}" for i in range(1000)] + [f"test/p{i}" for i in range(100)]
    given = ["val"] * n_val + ["train"] * (1000 - n_val) + ["test"] * 100
    labels = ["a" if i % 3 else "b" for i in range(1100)]
    return labels, groups, given


def test_official_keeps_a_validation_set_of_use():
    labels, groups, given = official(n_val=50)
    split, facts = official_split(labels, groups, given, 0)
    assert split.tolist() == given
    assert facts["words"] == "official split of the source"


@pytest.mark.parametrize("n_val", [0, 16, 49])
def test_official_cuts_a_new_validation_set_where_there_is_none_of_use(n_val):
    labels, groups, given = official(n_val)
    split, facts = official_split(labels, groups, given, 0)
    assert (split == "test").tolist() == [part == "test" for part in given]
    assert np.mean(split[:1000] == "val") == pytest.approx(0.2, abs=0.02)
    assert_no_group_twice(split, groups)
    assert "20 % of training cut for validation, no group in both" in facts["words"]
    assert (f"{n_val} validation images pooled" in facts["words"]) == (n_val > 0)


def test_official_without_groups_is_stratified_exactly():
    labels, _, given = official(0)
    split, facts = official_split(labels, [""] * 1100, given, 0)
    assert (split == "val").sum() == 200
    assert "no group" not in facts["words"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([""] * 8, "expected a train split in the source, got no split"),
        (["train"] * 8, "expected a test split in the source, got train"),
        (["train", "test", "dev", "val"] * 2, "expected train, val or test for every image, got 'dev'"),
    ],
)
def test_official_needs_train_and_test(given, message):
    with pytest.raises(BadData, match=message):
        official_split(["a", "b"] * 4, [""] * 8, given, 0)


def test_ds1_and_ds2_are_the_published_lists():
    # de Chazal 2004: 22 records each, 44 of the 48; the four with paced beats are left out.
    assert (len(DS1), len(DS2), len(set(DS1) | set(DS2) | set(PACED))) == (22, 22, 48)
    assert "201" in DS1
    assert "202" in DS2


def test_ds1_ds2_tests_on_ds2_and_leaves_paced_records_out():
    records = [record for record in (*DS1, *DS2, *PACED) for _ in range(10)]
    labels = ["N", "V"] * (len(records) // 2)
    groups = ["201+202" if record in ("201", "202") else record for record in records]
    split, facts = ds1_ds2_split(labels, groups, records, 0)
    assert {record for record, part in zip(records, split, strict=True) if part == "test"} == set(DS2)
    assert {record for record, part in zip(records, split, strict=True) if part == ""} == set(PACED)
    in_ds1 = np.isin(records, DS1)
    assert_no_group_twice(split[in_ds1], [record for record in records if record in DS1])
    assert np.mean(split[in_ds1] == "val") == pytest.approx(0.2, abs=0.05)
    assert "201 and 202" in facts["words"]
    assert facts["groups_apart"] is False


def test_ds1_ds2_needs_mit_bih():
    with pytest.raises(BadData, match=r"expected MIT-BIH records of both lists .* got s01, s02; use --split patient"):
        ds1_ds2_split(["a", "b"], ["s01", "s02"], ["s01", "s02"], 0)


def test_an_unknown_split_is_refused():
    with pytest.raises(PathsearchError, match=r"expected random, patient or official for this source, got 'rnd'"):
        assign("rnd", ["a"], [""], [""], 0)
    assert assign("random", ["a", "b"] * 5, [""] * 10, [""] * 10, 0)[1]["name"] == "random"
    assert splits.FRACTIONS == (0.6, 0.2, 0.2)
