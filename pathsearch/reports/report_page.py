"""`report.html`: one file that says what was asked, what came out and on what it stands; made from files only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.exceptions import UndefinedError

from data_prep import __version__
from data_prep.errors import PathsearchError
from data_prep.whole_files import write_text
from pathsearch.reports.album import keep_album
from pathsearch.reports.page_comparison import comparison_page
from pathsearch.reports.page_joint import joint_page
from pathsearch.reports.page_run import run_page
from pathsearch.reports.page_source import Source
from pathsearch.run.runs import read_json

PAGE = "report.html"
REPORT = "report.json"
Contents = Callable[[Source[Any]], dict[str, Any]]


def write_page(folder: Path, data_dir: Path | None = None, *, images: bool = True) -> Path:
    """Write `report.html` into the folder of a finished run, a joint evaluation or a comparison.

    Args:
        folder: holds the report; what else it holds (log, path, figures, small pictures) is shown if there.
        data_dir: where prepared tasks lie; if the report's are there, small pictures of them are kept beside it.
        images: show pictures of the data; without, the page can be passed on where the data cannot.

    Returns:
        The page: self-contained, without scripts, without addresses.

    Raises:
        PathsearchError: no report, or a file that is not what was written.
    """
    file = folder / REPORT
    report = read_json(file)
    template, contents = page_kind(report)
    try:
        album = keep_album(folder, report, data_dir) if images else None
        source = Source.read(folder, report, album, images)
        text = (
            _environment()
            .get_template(template)
            .render(**contents(source), name=folder.name, images=images, version=__version__)
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, StopIteration, UndefinedError) as error:
        if isinstance(error, PathsearchError):
            raise
        fault = f"no entry {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise PathsearchError(
            f"{file}: expected what the page {PAGE} needs, got {fault}; restore the files of {folder.name}, or make "
            "it again"
        ) from error
    write_text(folder / PAGE, text)
    return folder / PAGE


def has_report(folder: Path) -> bool:
    """Whether there is something to write a page about."""
    return (folder / REPORT).is_file()


def page_kind(report: Mapping[str, object]) -> tuple[str, Contents]:
    """The template and the contents for what a report is about."""
    if "routing" in report and "tasks" in report:
        return "joint.html.j2", joint_page
    if "path" in report and "test" in report:
        return "run.html.j2", run_page
    return "comparison.html.j2", comparison_page


def _environment() -> Environment:
    folder = Path(__file__).with_name("page")
    return Environment(  # a class may be called <script>: everything is escaped
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
