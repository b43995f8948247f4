"""Cells beyond the label: each planted fault is one line."""

from __future__ import annotations

import numpy as np
import pytest
from test_task import rows, save, whole_table

from data_prep.errors import BadData
from data_prep.table_checks import check_table
from data_prep.truth_columns import as_numbers, box_fault, check_number_names, check_target, hashed_files, is_decimal

NUMBERS = ("age", "rr")


def edited(column, value, row=0):
    table = whole_table()
    table.loc[row, column] = value
    return table


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (edited("x_min", "4"), "image images/train0.png: expected a box with x_min below x_max"),
        (edited("y_min", "4"), "and y_min below y_max, got 1,4,3.5,4, inside out; correct it"),
        (edited("x_min", "-1"), "expected a box inside its image, got -1,0,3.5,4, which reaches beyond it"),
        (
            edited("y_max", ""),
            "expected all four of x_min,y_min,x_max,y_max or none, got 1,0,3.5,nan; fill in or empty",
        ),
        (
            edited("x_max", "wide"),
            "image images/train0.png: expected a decimal number as x_max, or nothing, got 'wide'",
        ),
        (edited("x_max", "inf"), "expected a decimal number as x_max, or nothing, got 'inf'"),
        (edited("age", "61,5", 2), "image images/train2.png: expected a decimal number as age, or nothing, got '61,5'"),
        (edited("rr", "1e39"), "expected a decimal number as rr"),
        (edited("mask", "../m.png"), "line 2: expected a file inside the task's folder"),
        (edited("mask", "masks/train2.png"), "expected each file once, got 'masks/train2.png' again in line 4"),
        (edited("label", "cat"), "line 2: expected as label one of '', got 'cat'"),
        (
            whole_table().drop(columns="y_max"),
            "expected the columns file,label,split,group,mask,x_min,y_min,x_max,y_max",
        ),
        (whole_table().drop(columns="age"), "expected the columns file,label,split,group,mask,x_min"),
        (whole_table().loc[lambda t: t["split"] != "val"], "expected at least one image in split 'val', got none"),
    ],
)
def test_a_planted_fault_is_named(table, message):
    numbers = NUMBERS if "mask" in table else ()
    check_table(whole_table(), (), "the table", numbers=NUMBERS)
    with pytest.raises(BadData) as caught:
        check_table(table, (), "the table", numbers=numbers)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("age", "age"), "got 'age', which stands twice"),
        (("label",), "got 'label', which is another column"),
        (("mask",), "got 'mask', which is another column"),
        (("x_min",), "got 'x_min', which is another column"),
        ((" ",), "got ' ', which is no name"),
    ],
)
def test_numbers_have_names_of_their_own(names, message):
    check_number_names(("age", "rr"), "--numbers")
    with pytest.raises(BadData) as caught:
        check_number_names(names, "--numbers")
    assert message in str(caught.value)


@pytest.mark.parametrize("cell", ["0", "-1.5", "+2", ".5", "5.", "1e3", "1E-3"])
def test_decimal_numbers(cell):
    assert is_decimal(cell)


@pytest.mark.parametrize("cell", ["nan", "inf", "1_000", "0x10", "1,5", "1 ", "", "1e99", "e3", "--1", "٣"])
def test_what_python_takes_for_a_number_and_no_person_writes(cell):
    assert not is_decimal(cell)


def test_a_box_may_touch_the_edges_of_its_image():
    assert box_fault((0, 0, 24, 20), 24, 20) == ""
    assert box_fault([np.nan] * 4, 24, 20) == ""
    assert "inside its image of 24 × 20 pixels, got 0,0,25,20" in box_fault((0, 0, 25, 20), 24, 20)
    assert "which reaches beyond it" in box_fault((0, 0, 24, 21), 24, 20)


def test_empty_cells_are_nan_and_missing_columns_too():
    table = whole_table()[["age"]].iloc[:2]
    np.testing.assert_array_equal(as_numbers(table, ["age", "none"]), np.float32([[61, np.nan], [np.nan] * 2]))


def test_masks_are_hashed_after_images():
    files = hashed_files(whole_table())
    assert len(files) == 9 + 6
    assert files[9:11] == ["masks/train0.png", "masks/train2.png"]
    assert hashed_files(rows()) == rows()["file"].tolist()


@pytest.mark.parametrize(
    ("target", "table", "message"),
    [
        ("class", whole_table(), "expected truth for the target 'class', got none of it"),
        ("box", whole_table().drop(columns=["x_min", "y_min", "x_max", "y_max"]), "target 'box', got none of it"),
        ("mask", whole_table().drop(columns="mask"), "choose another --target (such as image)"),
        (
            "mask",
            whole_table().assign(mask=lambda t: t["mask"].where(t["split"] != "test", "")),
            "expected at least one image with a mask in split 'test', since the task asks for it, got none",
        ),
    ],
)
def test_a_target_without_truth_is_refused(target, table, message):
    for known in ("mask", "box", "image", "of_a_plug_in"):
        check_target(known, whole_table(), (), "the table")
    with pytest.raises(BadData) as caught:
        check_target(target, table, (), "the table")
    assert message in str(caught.value)


def test_a_task_that_is_told_to_ask_for_what_it_has_not_is_refused(tmp_path):
    with pytest.raises(BadData, match="expected truth for the target 'class', got none of it"):
        save(tmp_path, target="class")
    with pytest.raises(BadData, match=r"expected a column mask if task.json says what masks mean, and only then"):
        save(tmp_path, masks=None)
