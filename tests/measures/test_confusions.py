"""Confusion tables of few and of very many classes, in reports and on pages."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from pathsearch.measures.confusions import MANY, fields, largest, table_of
from pathsearch.measures.metrics import evaluate
from pathsearch.measures.reliability import assess
from pathsearch.reports import page_tables
from pathsearch.reports.alt_texts import Texts, confusion_of


@pytest.mark.parametrize("k", [3, MANY, MANY + 1])
def test_a_table_comes_back_from_its_fields(k):
    rng = np.random.default_rng(k)
    table = rng.integers(3, size=(k, k + 1)) * (rng.random((k, k + 1)) < 0.1)
    found = json.loads(json.dumps(fields(table)))
    assert (table_of(found, k, k + 1) == table).all()
    assert ("cells" in found) == (k > MANY)


@pytest.mark.parametrize("part", [{"confusion": [[1, 2]]}, {"cells": [[0, 9, 1]]}, {"confusion": [[1, -1], [0, 0]]}])
def test_a_table_that_does_not_fit_is_refused(part):
    with pytest.raises(ValueError, match="a confusion of shape"):
        table_of(part, 2, 2)


def test_the_largest_confusions_by_hand():
    table = np.array([[5, 3, 0], [0, 90, 3], [4, 0, 96]])
    found = [(one.row, one.column, one.images, round(one.share, 3)) for one in largest(table, 9)]
    assert found == [(2, 0, 4, 0.04), (0, 1, 3, 0.375), (1, 2, 3, 0.032)]
    assert len(largest(table, 2)) == 2


def answers(n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.concatenate([np.arange(k), rng.integers(k, size=n - k)])
    p = np.exp(rng.normal(size=(n, k)) + 4 * np.eye(k)[y])
    return y, p / p.sum(1, keepdims=True)


@pytest.mark.parametrize("grouped", [False, True])
def test_a_thousand_classes_take_seconds_and_little_room(grouped):
    """5,000 images: it took 49 seconds, and a table of a million numbers for every network in the report."""
    y, p = answers(5000, 1000)
    groups = (np.arange(5000) // 2).astype(str) if grouped else None
    started = time.process_time()
    found = evaluate(y, p, [f"class {i}" for i in range(1000)], groups=groups)
    assert time.process_time() - started < 15
    assert len(json.dumps(found)) < 300_000
    assert table_of(found, 1000, 1000).sum() == 5000
    assert np.trace(table_of(found, 1000, 1000)) / 5000 == found["accuracy"]


def test_pages_of_a_thousand_classes_stay_short():
    y, p = answers(3000, 1000)
    part = evaluate(y, p, [f"class {i}" for i in range(1000)])
    counts = table_of(part, 1000, 1000)
    recalls = page_tables.recalls(part, "Recalls.")
    assert len(recalls.rows) == page_tables.LONGEST
    assert "of 1,000 classes" in recalls.caption
    worst = sorted(part["recall_per_class"].values())[: page_tables.LONGEST]
    assert [row[2] for row in recalls.rows] == [page_tables.number(value) for value in worst]
    table = page_tables.confusion(part["classes"], part["columns"], counts, "Counts.")
    assert len(table.rows) == page_tables.LONGEST
    about = {"classes": part["classes"], "counts": {"test": dict.fromkeys(part["classes"], 3)}}
    counted = page_tables.counted(about, "Images.")
    assert len(counted.rows) == page_tables.LONGEST + 1
    assert counted.rows[-1] == ["all", "3,000", "3,000"], "the sum is that of all classes"
    words = confusion_of("test", "test")(Texts({"test": part}, [], [], {}))
    assert "largest confusions: " in words
    assert len(words) < 500


def test_brier_is_the_squared_distance_to_the_truth():
    y, p = answers(50, 5)
    assert assess(p, y)["brier"] == pytest.approx(((p - np.eye(5)[y]) ** 2).sum(1).mean())
