"""Masks, boxes and whole images on the results page: a table of each kind, published numbers above ours."""

from __future__ import annotations

from collections.abc import Sequence

from pathsearch.experts.markdown import DASH, escaped, link, table
from pathsearch.measures.measure import NAMES
from pathsearch.reports.published import PAPER_ANSWERS, Answers, PaperAnswers
from pathsearch.reports.results_rows import Row
from pathsearch.reports.results_tasks import circumstances, how, network, parameters
from pathsearch.targets.target import TARGETS

TITLES = {"mask": "Masks", "box": "Boxes", "image": "Whole images"}  # in the order of the page
UNITS = {"hausdorff95": ", px", "psnr": ", dB"}
SAID = """\
Each row is one task and one network, trained as it was given or found by a search. Measures are means over the test
images whose truth is known, in pixels of the images as the network has them; with several seeds ± is the standard
deviation over them, with one seed brackets are the 95 % interval of the mean, over groups where the report says so,
else over images. A mask that is missed counts the image's diagonal as distance; where some images have no value of a
measure, a cell says how many do. Beside each network stands the linear probe, one linear layer on what the network
reads, by the first measure."""


def other_section(rows: Sequence[Row], address: str) -> str:
    """One part a target; empty without rows.

    Args:
        rows: of targets other than classes.
        address: of the evidence folder, from the page.
    """
    parts = [SAID] if rows else []
    for target, title in TITLES.items():
        if own := [row for row in rows if row.target == target]:
            parts += [f"### {title}", *_beside_published(own, target), how(own, address)]
    return "\n\n".join(parts)


def _beside_published(rows: Sequence[Row], target: str) -> list[str]:
    """The table, rows that others published the like of first, below what was published; and notes on that."""
    names = [name for name in TARGETS[target].rates if name != "loss"]
    heads = [NAMES[name] + UNITS.get(name, "") for name in names]
    first = f"linear probe, {NAMES[names[0]]}"
    cells, notes, left = [], [], list(rows)
    for paper in PAPER_ANSWERS:
        if own := [row for row in left if paper is _published(row)]:
            notes.append(f"{paper.note}{_sources(paper)}")
            cells += [_theirs(paper, one, names) for one in paper.rows]
            cells += [_ours(row, names) for row in own]
            left = [row for row in left if row not in own]
    cells += [_ours(row, names) for row in left]
    about = ["row", "task", "network", "encoder", "split; test images", "seeds"]
    return [table([*about, *heads, first, "parameters"], cells), *notes]


def _published(row: Row) -> PaperAnswers | None:
    """What others published of the like of a row, by the source of its data, where that was kept."""
    prepared = row.runs[0].prepared
    source = prepared["source"] if prepared else ""
    return next((one for one in PAPER_ANSWERS if one.is_of(row.target, source, "noise" in row.report)), None)


def _sources(paper: PaperAnswers) -> str:
    named = {one.source.short: one.source for one in paper.rows if one.source}
    return "".join(f" {link(one.short, one.address)} is {one.full}." for one in named.values())


def _theirs(paper: PaperAnswers, one: Answers, names: Sequence[str]) -> list[str]:
    measures = [one.measures.get(name, DASH) for name in names]
    return ["published", paper.title, one.method, DASH, paper.split, DASH, *measures, DASH, DASH]


def _ours(row: Row, names: Sequence[str]) -> list[str]:
    noise = row.report.get("noise")
    task = row.report["task"] + (f", {noise}" if noise else "")
    about = [row.label, escaped(task), escaped(network(row)), *circumstances(row)]
    return [*about, *map(row.tested, names), row.baseline("linear_probe", names[0]), parameters(row)]
