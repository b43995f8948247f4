"""`pathsearch results`: the page of all results, from the run files kept as evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pathsearch.cli.prepare import DataDir, Json
from pathsearch.cli.terminal import Terminal

results_app = typer.Typer()  # its command stands among the others, see cli.py


@results_app.command()
def results(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Finished runs, joint evaluations or comparisons to copy into --evidence first."),
    ] = None,
    evidence: Annotated[Path, typer.Option(help="Where reports and settings are kept for the page.")] = Path(
        "docs/evidence"
    ),
    out: Annotated[Path, typer.Option(help="The page.")] = Path("docs/results.md"),
    into: Annotated[
        str, typer.Option(help="Folder below --evidence for the copies; named like a directory below runs/.")
    ] = "",
    runs_dir: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("runs"),
    data_dir: DataDir = Path("data"),
    as_json: Json = False,
) -> None:
    """Write the page of all results, beside published numbers, from run files: the same files, the same bytes.

    RUN copies what the page needs: report.json, config.json and env.json, without folders of this machine and names of
    images, and how the task was prepared, if its data are still in --data-dir. A run below --runs-dir keeps its place
    there, which is what the page's commands give as --runs-dir.
    """
    from pathsearch.reports.evidence_copy import add, place
    from pathsearch.reports.results_page import write_results

    terminal = Terminal(as_json)
    copied = []
    for run in runs or []:
        folder, name = place(run, runs_dir, into)
        copied.append(add(folder, evidence, name, data_dir))
        terminal.say(f"evidence  {copied[-1]}")
    found, unfinished = write_results(evidence, out)
    for name in unfinished:
        terminal.say(f"left out  {evidence / name}: no report.json, so not finished")
    terminal.say(f"page      {out}, from {len(found)} reports")
    terminal.emit(
        {
            "page": str(out),
            "evidence": [one.name for one in found],
            "copied": [str(one) for one in copied],
            "unfinished": unfinished,
        }
    )
