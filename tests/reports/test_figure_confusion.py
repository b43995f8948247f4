"""Confusion tables and, of very many classes, their largest confusions, as figures."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from figure_checks import LONG, outside

from pathsearch.reports.figure_confusion import confusion
from pathsearch.reports.figure_style import save, styled


@pytest.mark.parametrize("k", [2, 20])
def test_cells_of_a_confusion_hold_their_text(k: int):
    with styled():
        figure = confusion(LONG[:1] * k, LONG[:1] * k, np.full((k, k), 99), "title")
        assert figure is not None
        assert outside(figure) < 0.01
        (axes,) = figure.axes
        cell = axes.get_window_extent().width / k
        assert max(text.get_window_extent().width for text in axes.texts) < cell


def planted_confusions(k: int) -> np.ndarray:
    """500 images a class; of class 7, 60 are said to be class 3, of every tenth class a few its neighbour."""
    table = np.diag(np.full(k, 500))
    for i in range(0, k - 1, 10):
        table[i, i + 1] = 1 + i % 7
    table[7, 3] = 60
    return table


@pytest.mark.parametrize("k", [31, 1000])
def test_of_very_many_classes_the_largest_confusions_are_shown(tmp_path: Path, k: int):
    """Quick and small where a table of a million cells took minutes, and the planted confusion is on top."""
    names, table = [f"a class of number {i}" for i in range(k)], planted_confusions(k)
    started = time.process_time()
    with styled():
        figure = confusion(names, names, table, "title")
        assert figure is not None
        assert outside(figure) < 0.01
        files = save(figure, tmp_path / "confusion")
    assert time.process_time() - started < 10
    assert max(file.stat().st_size for file in files) < 400_000
    (axes,) = figure.axes
    assert axes.get_yticklabels()[0].get_text() == "a class of number 7  →  a class of number 3"
    assert axes.texts[0].get_text() == "60 (10.7 %)"  # 60 of 560
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == sorted(widths, reverse=True)
    assert len(widths) == min(25, np.count_nonzero(table) - k)


def test_without_any_confusion_the_figure_says_so():
    with styled():
        figure = confusion(["a"] * 40, ["a"] * 40, np.diag(np.full(40, 5)), "title")
        assert figure is not None
        assert outside(figure) < 0.01
        assert "0 of 200 images stand off its diagonal." in figure.get_suptitle().replace("\n", " ")
        assert confusion(["a"] * 40, ["a"] * 40, np.zeros((40, 40), int), "title") is None
