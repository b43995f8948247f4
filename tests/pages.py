"""Finished folders with their pages."""

from __future__ import annotations

import functools
from pathlib import Path

from dense_world import dense_data, trained
from small_world import copied, data_dir, finished, place, scratch

from data_prep.whole_files import write_json
from pathsearch.experts import joint
from pathsearch.reports import figures
from pathsearch.reports.report_page import write_page
from pathsearch.run.runs import Run, read_json


@functools.cache
def run_folder() -> Path:
    """A finished run with its figures and its page."""
    run = copied(finished("stripes"), scratch() / "pages")
    figures.plot_run(run.folder)
    write_page(run.folder, data_dir())
    return run.folder


@functools.cache
def joint_folder() -> Path:
    """A joint evaluation with its figures and its page."""
    runs = [finished("blobs"), finished("stripes")]
    report = joint.joint_evaluate(runs, data_dir(), place(), 0)
    folder = joint.save(report, scratch() / "pages")
    figures.plot_joint(folder)
    write_page(folder, data_dir())
    return folder


@functools.cache
def given_folder() -> Path:
    """The same of a network that was trained without a search, on masks."""
    run = copied(trained(), scratch() / "pages")
    figures.plot_run(run.folder)
    write_page(run.folder, dense_data())
    return run.folder


def changed(folder: Path, to: Path, **values: object) -> Path:
    """A copy of a folder whose report says something else."""
    copy = copied(Run(folder), to).folder
    write_json(copy / "report.json", {**read_json(copy / "report.json"), **values})
    return copy


def text_of(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


PAGES = {"run": run_folder, "joint": joint_folder, "given": given_folder}
