"""A comparison without some of its controls: the others' numbers stay, and report, page and command say what lacks."""

from __future__ import annotations

import json
import shlex
import shutil

import pytest
from comparisons import SEEDS, chosen, run, timeless
from page_checks import Page, faults
from small_world import encoder, refused

from pathsearch.cli.terminal import Terminal
from pathsearch.reports.again import compare_command
from pathsearch.reports.evidence_copy import add
from pathsearch.reports.figures import plot_comparison
from pathsearch.reports.report_page import write_page
from pathsearch.reports.results_page import write_results
from pathsearch.search.comparison import Comparison
from pathsearch.search.rivals import METHODS

WITHOUT = ("pathnet", "full_grid")


@pytest.fixture
def shorter(compared, tmp_path):
    """The finished comparison's parts, but for those of the controls left out."""
    comparison = Comparison.of(tmp_path, chosen(), SEEDS, encoder(), WITHOUT)
    ignored = shutil.ignore_patterns(*(f"*{method}*" for method in WITHOUT))
    shutil.copytree(compared[0].folder / "parts", comparison.folder / "parts", ignore=ignored)
    return run(tmp_path, without=WITHOUT)


def test_the_others_have_the_same_numbers(compared, shorter):
    report, full = shorter[1], compared[1]
    assert report["left_out"] == list(WITHOUT)
    assert full["left_out"] == []
    assert set(report["methods"]) == set(METHODS) - set(WITHOUT)
    assert not list(shorter[0].folder.glob("parts/*full_grid.safetensors"))
    for method, row in report["methods"].items():
        assert timeless(row) == timeless(full["methods"][method])
    for method, row in report["fronts"]["methods"].items():
        assert row["hypervolume"] == full["fronts"]["methods"][method]["hypervolume"]
        assert row["share_within"]["each"] == [None] * SEEDS, "there is no full grid to share with"
    assert set(report["fronts"]["points"]) == {"linear_probe"}
    assert report["equivalence"] is None


def test_it_says_what_lacks(shorter, capsys):
    comparison, report = shorter
    said = " ".join(report["verdict"])
    assert "Left out of this comparison: sequential PathNet, full grid." in said
    assert "of the full grid" not in said
    Terminal().comparison_table(report)
    assert "Left out of this comparison" in " ".join(capsys.readouterr().out.split())
    plot_comparison(comparison.folder)
    text = write_page(comparison.folder).read_text()
    assert faults(text) == []
    assert "Left out of this comparison: sequential PathNet, full grid." in Page(text).text("main")
    config = json.loads((comparison.folder / "config.json").read_text())
    words = shlex.split(compare_command(config))
    assert [words[i + 1] for i, word in enumerate(words) if word == "--without"] == list(WITHOUT)


def test_it_has_a_directory_of_its_own_whatever_the_order(tmp_path):
    def name(*without: str) -> str:
        return Comparison.of(tmp_path, chosen(), SEEDS, encoder(), without).folder.name

    assert len({name(), name("full_grid"), name(*WITHOUT)}) == 3
    assert name(*WITHOUT) == name(*reversed(WITHOUT), WITHOUT[0])


def test_the_results_page_tells_it(shorter, tmp_path):
    evidence = tmp_path / "evidence"
    add(shorter[0].folder, evidence, "compare-short")
    write_results(evidence, tmp_path / "results.md")
    text = (tmp_path / "results.md").read_text()
    assert "- Left out of this comparison: sequential PathNet, full grid." in text
    assert " --without pathnet --without full_grid " in text


@pytest.mark.parametrize("method", ["evolved", "linear_probe", "full grid"])
def test_what_cannot_go_is_refused(tmp_path, method):
    with refused(f"--without: expected one of random_search, .*nearest, got '{method}'"):
        Comparison.of(tmp_path, chosen(), SEEDS, encoder(), [method])
