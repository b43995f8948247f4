"""`docs/results.md`: every number of the runs kept as evidence, beside what others published, written from files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from data_prep.whole_files import write_text
from pathsearch.experts.markdown import DASH, escaped, rate, table
from pathsearch.experts.run_report import RunReport
from pathsearch.measures.measure import NAMES
from pathsearch.measures.rates import interval_of, measured_of
from pathsearch.reports.evidence import Evidence, comparisons_of, joint_of, read_evidence, runs_of
from pathsearch.reports.results_beats import beats_section, is_aami
from pathsearch.reports.results_compare import comparisons_section
from pathsearch.reports.results_corrections import corrections
from pathsearch.reports.results_joint import joint_rows, joint_section
from pathsearch.reports.results_other import other_section
from pathsearch.reports.results_paper import paper_section
from pathsearch.reports.results_rows import TOLD, Row, is_ecg, rows_of, spread
from pathsearch.reports.results_tasks import evidence_link, tasks_section
from pathsearch.targets.target import DEFAULT

INTRO = """\
<!-- written by `pathsearch results`; change the evidence, not this page -->

# Results

Each row below is one task and one network, on the features of a frozen encoder or on the pixels themselves. A path is
searched on validation images and chosen on them (or, where a row's notes say so, by cross-validation over training and
validation images); a network that was given without a search stands by its name. Either is trained, fixed as an expert,
and then asked once about the test images, together with its controls. An encoder is given by name, weights, pixels a
side of its images and, where the report has it, the size of its feature maps. With several seeds, ± is the standard
deviation over them; with one seed, brackets are the 95 % interval of the single test, over groups (patients) where the
report says so, else by image: Wilson's for accuracies, a bootstrap for mean recall and AUC. Recall is the mean over
classes; the AUC of more than two classes is the mean of one class against the rest. Random weights are random: only
what is called ImageNet here is torchvision's own, and of weights from a file the notes of a row give name and digest.
Unless a row's notes say otherwise, there is one view of each training image, the answer is the most probable class, and
the last training is on training and validation images together, after path, epochs and threshold were fixed. How often
the test images were looked at while settings were chosen stands in docs/studies.md.

This page is written by `make results` (`pathsearch results`) from the files in [{evidence}]({address}); only what
others published is typed in. `pathsearch results RUN` adds a run. The commands below the tables make the runs again,
into the directory that the evidence is named after, once the data are prepared (`pathsearch prepare`); rows with the
same digest of prepared data have the same images and the same split."""


def write_results(evidence_dir: Path, out: Path) -> tuple[list[Evidence[object]], list[str]]:
    """Write the page, whole, and return what it was written from and the unfinished runs that were left out.

    Args:
        evidence_dir: with `report.json` and `config.json` in folders of any depth.
        out: the page; its links to the evidence are relative. The same files give the same bytes.

    Raises:
        PathsearchError: nothing there, or a file without what the page needs.
    """
    found, unfinished = read_evidence(evidence_dir)
    address = Path(os.path.relpath(evidence_dir, out.parent)).as_posix()
    write_text(out, page(found, unfinished, address))
    return found, unfinished


def page(found: Sequence[Evidence[object]], unfinished: Sequence[str], address: str) -> str:
    """The page as Markdown; sections without evidence are left out.

    Args:
        found: all evidence, in the order of its names.
        unfinished: names of runs without a report.
        address: of the evidence folder, from the page.
    """
    every = rows_of(runs_of(found))
    joint = joint_rows(joint_of(found), every)
    rows = [row for row in every if row.target == DEFAULT]
    other = [row for row in every if row.target != DEFAULT]
    beyond = [row for row in rows if row.paper_task is None]
    compared = comparisons_of(found)
    ecg = [row for row in beyond if is_ecg(row.classes)]
    others = [row for row in beyond if row not in ecg]
    sections = {
        "The paper's tables, row by row": paper_section(rows, joint, address),
        "ECG by other protocols": _ecg(ecg, address) if ecg else "",
        "Other data sets": tasks_section(others, address) if others else "",
        "Masks, boxes and whole images": other_section(other, address),
        "Joint evaluations": joint_section(joint, address) if joint else "",
        "Does search pay? Comparisons": comparisons_section(compared, address),
        "Every run": "\n\n".join(filter(None, (_every_run(rows, address), _every_other(other, address)))),
        "Left out": _left_out(unfinished) if unfinished else "",
    }
    parts = [INTRO.format(evidence=escaped(address), address=address), *corrections(found, address)]
    parts += [f"## {title}\n\n{text}" for title, text in sections.items() if text]
    return "\n\n".join(parts) + "\n"


def _ecg(rows: Sequence[Row], address: str) -> str:
    aami = [row for row in rows if is_aami(row)]
    return "\n\n".join([tasks_section(rows, address), *(["### AAMI classes", beats_section(aami)] if aami else [])])


def _every_run(rows: Sequence[Row], address: str) -> str:
    """One line a run: the numbers that the rows above are made of; empty without rows."""
    heads = ["row", "seed", "test accuracy", "mean recall", "AUC", "validation accuracy"]
    cells = []
    for row in rows:
        for run in row.runs:
            report, test = run.report, run.report["test"]
            rates = [spread([test[name]], interval_of(test, name)) for name in TOLD]
            told = [*rates, rate(report["validation"]["accuracy"])]
            cells.append([row.label, str(report["seed"]), *told, *_files(run, address)])
    return table([*heads, *FILES], cells) if cells else ""


def _every_other(rows: Sequence[Row], address: str) -> str:
    """The same of runs that ask for something else than a class, each by the measure that was maximised."""
    heads = ["row", "seed", "measure", "test", "validation"]
    cells = []
    for row in rows:
        for run in row.runs:
            report, measure = run.report, str(run.report["measure"])
            (test, pair), (validation, _) = (measured_of(report[split], measure) for split in ("test", "validation"))
            told = [NAMES[measure], spread([test], pair), rate(validation)]
            cells.append([row.label, str(report["seed"]), *told, *_files(run, address)])
    return table([*heads, *FILES], cells) if cells else ""


FILES = ("path", "parameters", "torch", "run")


def _files(run: Evidence[RunReport], address: str) -> list[str]:
    """Cells on the network and its run."""
    torch = run.env["libraries"].get("torch", DASH) if run.env else DASH
    path, size = run.report["path"], run.report["parameters"]["expert"]
    return [escaped(path), f"{size:,}", escaped(torch), evidence_link(run, address)]


def _left_out(unfinished: Sequence[str]) -> str:
    return "Without a report.json, so not finished: " + ", ".join(map(escaped, unfinished)) + "."
