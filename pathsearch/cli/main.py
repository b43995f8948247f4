"""The command line: parse, call, print; nothing else."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from data_prep import __version__
from pathsearch.cli.compare import compare_app
from pathsearch.cli.errors import explain
from pathsearch.cli.evolve import Device, RunsDir, evolve_app
from pathsearch.cli.interrupts import Interrupts
from pathsearch.cli.prepare import DataDir, Json, Plugins, Seed, prepare_app, run_plugins
from pathsearch.cli.results import results_app
from pathsearch.cli.runs import elsewhere
from pathsearch.cli.settings import settings_app
from pathsearch.cli.terminal import Terminal, errors
from pathsearch.cli.train import train_app
from pathsearch.cli.use import use_app

# Torch takes seconds to import: each command imports what it needs, so that --help answers at once.

app = typer.Typer(
    name="pathsearch",
    help="Evolve a small path of modules for each image task, on one frozen encoder, and route images to them.\n\n"
    "Start with: pathsearch demo. With your own data: pathsearch prepare folder --source DIR --name NAME, then "
    "pathsearch evolve --task NAME, then pathsearch joint-eval.\n\n"
    "An error is one line; --traceback anywhere shows the rest.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(prepare_app, name="prepare")
app.add_typer(evolve_app)
app.add_typer(train_app)
app.add_typer(use_app)
app.add_typer(compare_app)
app.add_typer(results_app)
app.add_typer(settings_app)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"pathsearch {__version__}")
        raise typer.Exit


@app.callback()
def pathsearch(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """What stands before all commands; its help is the app's own."""


@app.command("joint-eval")
def joint_eval(
    runs: Annotated[
        list[str] | None, typer.Argument(help="Finished runs; by default the newest of each task on one encoder.")
    ] = None,
    false_rejection: Annotated[
        float, typer.Option(help="Share of each task's validation images that may be answered unknown.")
    ] = 0.01,
    plugin: Plugins = None,
    data_dir: DataDir = Path("data"),
    runs_dir: RunsDir = Path("runs"),
    seed: Seed = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Mix all tasks' test images, route them without their labels, and report accuracy, recall and confusion."""
    from pathsearch.encoders.encoder import choose_device
    from pathsearch.experts import joint
    from pathsearch.reports import figures
    from pathsearch.reports.report_page import write_page
    from pathsearch.run.place import Place
    from pathsearch.run.runs import find_run, newest_finished, unsealed

    terminal = Terminal(as_json)
    run_plugins(plugin)
    chosen, left_out = ([find_run(runs_dir, name) for name in runs], {}) if runs else newest_finished(runs_dir)
    for name, why in left_out.items():
        terminal.say(f"left out  {name}: {why}")
    for line in unsealed(chosen):
        terminal.say(line)
    with terminal.progress():
        place = Place(data_dir / "features", choose_device(device), terminal)
        report = joint.joint_evaluate(chosen, data_dir, place, seed, false_rejection, left_out)
    folder = joint.save(report, runs_dir)
    drawn = figures.plot_joint(folder)
    page = write_page(folder, data_dir)
    terminal.joint_table(report)
    terminal.say(f"report  {folder / 'report.json'}")
    terminal.figures(drawn)
    terminal.say(f"page    {page}")
    terminal.say(
        f"next: pathsearch bundle {' '.join(run.name for run in chosen)} --out DIR{elsewhere(data_dir, runs_dir)}"
    )
    terminal.emit({**report, "folder": str(folder)})


@app.command()
def plot(
    run: Annotated[str, typer.Argument(help="A run, a joint evaluation or a comparison, by name or directory.")],
    images: Annotated[bool, typer.Option(help="Show small copies of images on the page.")] = True,
    data_dir: DataDir = Path("data"),
    runs_dir: RunsDir = Path("runs"),
    as_json: Json = False,
) -> None:
    """Draw a run's figures and write its page, report.html, again, from its files."""
    from pathsearch.reports import figures
    from pathsearch.reports.report_page import has_report, write_page
    from pathsearch.run.runs import find_run, is_comparison, is_joint, unsealed
    from pathsearch.run.sums import SUMS

    terminal = Terminal(as_json)
    folders = [folder for folder in (runs_dir / run, Path(run)) if folder.is_dir()]
    if compared := next(filter(is_comparison, folders), None):
        from pathsearch.search import comparison  # a slow import, as the next one

        if has_report(compared) or (compared / SUMS).is_file():  # else it still goes on
            comparison.read(compared)  # refuses a damaged one
        folder, drawn = compared, figures.plot_comparison(compared)
    elif joint_dir := next(filter(is_joint, folders), None):
        from pathsearch.experts import joint

        joint.read(joint_dir)  # refuses a damaged one
        folder, drawn = joint_dir, figures.plot_joint(joint_dir)
    else:
        found = find_run(runs_dir, run)
        if found.finished or found.report_file.is_file():  # else the search still goes on
            found.report()  # refuses a damaged one
            for line in unsealed([found]):
                terminal.say(line)
        folder, drawn = found.folder, figures.plot_run(found.folder)
    terminal.figures(drawn)
    page = write_page(folder, data_dir, images=images) if has_report(folder) else None
    terminal.say(f"page    {page or 'none: report.json comes at the end of the run'}")
    terminal.emit({"figures": [str(file) for file in drawn], "page": str(page) if page else None})


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where the demo's data and runs go.")] = Path("demo"),
    seed: Seed = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Generate small ECG records and X-ray-like images, and run the whole flow on them: a few minutes."""
    from pathsearch.cli.demo import run_demo
    from pathsearch.encoders.encoder import choose_device

    terminal = Terminal(as_json)
    terminal.emit(run_demo(out, seed, choose_device(device), terminal))


@app.command()
def doctor(data_dir: DataDir = Path("data"), runs_dir: RunsDir = Path("runs"), as_json: Json = False) -> None:
    """Say what is installed, which device, weights and data are in reach, and what to do about the rest."""
    from pathsearch.cli.doctor import examine

    terminal = Terminal(as_json)
    findings = examine(data_dir, runs_dir)
    for finding in findings:
        terminal.say(f"{'ok  ' if finding.ok else 'look'}  {finding.what:<16}  {finding.found}")
        if finding.advice:
            terminal.say(f"      {'':<16}  → {finding.advice}")
    terminal.emit({finding.what: finding._asdict() for finding in findings})
    if any(finding.fatal for finding in findings):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line: 0 when all went well, 2 and one line for a mistake, 1 for a fault of ours."""
    show_all = "--traceback" in sys.argv
    if show_all:
        sys.argv.remove("--traceback")
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    with Interrupts() as interrupts:
        try:
            app()
        except BaseException as error:
            if interrupts.received or getattr(error, "code", None) == 130:  # Typer's answer to KeyboardInterrupt
                with suppress(OSError):  # the terminal may be gone
                    errors.print(interrupts.line(command), markup=False)
                sys.exit(128 + (interrupts.received or 2))
            if show_all or not isinstance(error, Exception):
                raise
            line, code = explain(error)
            errors.print(f"error: {line}", markup=False)
            sys.exit(code)
