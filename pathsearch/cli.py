"""The command line: parse, call, print; nothing else."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from data_prep.errors import PathsearchError
from pathsearch.cli_compare import compare_app
from pathsearch.cli_prepare import DataDir, Json, Seed, prepare_app
from pathsearch.cli_results import results_app
from pathsearch.cli_settings import given
from pathsearch.cli_use import use_app
from pathsearch.terminal import Terminal, errors

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
app.add_typer(use_app)
app.add_typer(compare_app)
app.add_typer(results_app)

RunsDir = Annotated[Path, typer.Option(help="Where runs are kept.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, or auto: cuda where there is one.")]


@app.command()
def evolve(
    context: typer.Context,
    task: Annotated[str, typer.Option(help="Name of a prepared task.")],
    encoder: Annotated[str, typer.Option(help="A torchvision trunk: vgg16, resnet18, squeezenet1_1 …")] = "vgg16",
    encoder_weights: Annotated[
        str, typer.Option(help="imagenet (downloaded once), random, or a .safetensors or .pth file.")
    ] = "imagenet",
    image_size: Annotated[
        int | None, typer.Option(help="Pixels a side for the encoder; the task's own by default.")
    ] = None,
    population: Annotated[int, typer.Option(help="Paths in a generation.")] = 64,
    generations: Annotated[int, typer.Option(help="Generations at most.")] = 30,
    preset: Annotated[
        str, typer.Option(help="generational, pathnet (pairs compete), or random (no selection).")
    ] = "generational",
    modules: Annotated[str, typer.Option(help="mixed kinds and sizes, or paper: identical modules.")] = "mixed",
    weights: Annotated[str, typer.Option(help="shared between paths, or fresh for each.")] = "shared",
    fitness: Annotated[str, typer.Option(help="accuracy, balanced_accuracy or auc (validation).")] = "accuracy",
    pareto: Annotated[bool, typer.Option(help="Size as a second objective (NSGA-II).")] = False,
    threshold: Annotated[
        str, typer.Option(help="Two classes: argmax, balanced, or sensitivity:0.95; fixed on validation.")
    ] = "argmax",
    views: Annotated[int, typer.Option(help="Views of each training image; above 1: flips, scales, turns.")] = 1,
    target: Annotated[float | None, typer.Option(help="Stop when the best fitness reaches this.")] = None,
    plateau: Annotated[
        int, typer.Option(help="Stop after so many generations without gain; --set search.plateau=null: never.")
    ] = 12,
    grid: Annotated[str | None, typer.Option(help="Start on this finished run's grid; its experts stay fixed.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="Any other setting of config.json, as training.epochs=20.")
    ] = None,
    run_name: Annotated[str | None, typer.Option(help="Directory of the run; TASK-SPLIT-sSEED by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run of the same name.")] = False,
    data_dir: DataDir = Path("data"),
    runs_dir: RunsDir = Path("runs"),
    seed: Seed = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Search a path for a task, train it, test it once, and fix it as an expert."""
    from data_prep.manifest import load_task
    from pathsearch import config, figures
    from pathsearch.decision import check_rule
    from pathsearch.encoder import Encoder, choose_device
    from pathsearch.evolve import evolve as evolve_task
    from pathsearch.heritage import Heritage
    from pathsearch.report_page import write_page
    from pathsearch.runs import Run

    terminal = Terminal(as_json)
    prepared = load_task(data_dir, task)
    size = max(prepared.info.get("image_size") or config.EncoderSettings.image_size, 32)
    settings = config.RunSettings(
        task=task,
        split=prepared.split_name,
        seed=seed,
        encoder=config.EncoderSettings(image_size=size),
        grown_from=grid,
        data=prepared.fingerprint,
    )
    settings = config.with_settings(settings, setting or [], given(context))
    check_rule(settings.training.threshold, len(prepared.classes))
    run = Run(runs_dir / (run_name or f"{task}-{prepared.split_name}-s{seed}"))
    where = choose_device(device)
    heritage = Heritage.of(runs_dir, grid)
    trunk = Encoder(settings.encoder, where)
    heritage.check(task, trunk, settings.grid)
    settings = replace(settings, encoder_key=trunk.key)
    with run.alone():
        run.open(settings, resume=resume, overwrite=overwrite)
        if run.finished:
            terminal.say(f"run {run.name} is finished already; its report:")
            report = run.report()
        else:
            with terminal.progress():
                report = evolve_task(prepared, trunk, settings, run, data_dir / "features", heritage, where, terminal)
    drawn = figures.plot_run(run.folder)
    page = write_page(run.folder, data_dir)
    terminal.run_table(report)
    for row in report["earlier_experts"]:
        about = f"{row['task']} ({row['run']}, {row['file_sha256_after'][:12]})"
        terminal.say(f"earlier expert {about}: file and logits bit-identical")
    terminal.say(f"expert  {run.expert_file}\nreport  {run.report_file}")
    terminal.figures(drawn)
    terminal.say(f"page    {page}")
    terminal.emit(report)


@app.command("joint-eval")
def joint_eval(
    runs: Annotated[
        list[str] | None, typer.Argument(help="Finished runs; by default the newest of each task on one encoder.")
    ] = None,
    false_rejection: Annotated[
        float, typer.Option(help="Share of each task's validation images that may be answered unknown.")
    ] = 0.01,
    data_dir: DataDir = Path("data"),
    runs_dir: RunsDir = Path("runs"),
    seed: Seed = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Mix all tasks' test images, route them without their labels, and report accuracy, recall and confusion."""
    from pathsearch import figures, joint
    from pathsearch.encoder import choose_device
    from pathsearch.report_page import write_page
    from pathsearch.runs import find_run, newest_finished

    terminal = Terminal(as_json)
    chosen = [find_run(runs_dir, name) for name in runs] if runs else newest_finished(runs_dir)
    with terminal.progress():
        where, cache = choose_device(device), data_dir / "features"
        report = joint.joint_evaluate(chosen, data_dir, cache, where, seed, terminal, false_rejection)
    folder = joint.save(report, runs_dir)
    drawn = figures.plot_joint(folder)
    page = write_page(folder, data_dir)
    terminal.joint_table(report)
    terminal.say(f"report  {folder / 'report.json'}")
    terminal.figures(drawn)
    terminal.say(f"page    {page}")
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
    from pathsearch import figures
    from pathsearch.report_page import has_report, write_page
    from pathsearch.runs import find_run, is_comparison

    terminal = Terminal(as_json)
    folders = [folder for folder in (runs_dir / run, Path(run)) if folder.is_dir()]
    if compared := next(filter(is_comparison, folders), None):
        folder, drawn = compared, figures.plot_comparison(compared)
    elif joint_dir := next((folder for folder in folders if folder.name.startswith("joint-")), None):
        folder, drawn = joint_dir, figures.plot_joint(joint_dir)
    else:
        folder = find_run(runs_dir, run).folder
        drawn = figures.plot_run(folder)
    terminal.figures(drawn)
    page = write_page(folder, data_dir, images=images) if has_report(folder) else None  # a search may still go on
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
    from pathsearch.demo import run_demo
    from pathsearch.encoder import choose_device

    terminal = Terminal(as_json)
    terminal.emit(run_demo(out, seed, choose_device(device), terminal))


@app.command()
def doctor(data_dir: DataDir = Path("data"), runs_dir: RunsDir = Path("runs"), as_json: Json = False) -> None:
    """Say what is installed, which device, weights and data are in reach, and what to do about the rest."""
    from pathsearch.doctor import examine

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
    try:
        app()
    except SystemExit as end:
        if end.code == 130:  # Typer's answer to Ctrl-C
            on = "" if "predict" in sys.argv else "; `pathsearch evolve … --resume` goes on where it stopped"
            on = "; the same command goes on where it stopped" if "compare" in sys.argv else on
            errors.print(f"interrupted{on}")
        raise
    except Exception as error:
        if show_all:
            raise
        known = isinstance(error, (PathsearchError, ImportError, OSError))
        line = str(error) if known else f"unexpected {type(error).__name__}: {error}; --traceback shows where"
        errors.print(f"error: {' '.join(line.split())}", markup=False)
        sys.exit(2 if known else 1)


if __name__ == "__main__":
    main()
