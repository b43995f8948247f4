"""`pathsearch bundle` and `pathsearch predict`: finished runs to a portable folder, and images to answers."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer

from data_prep.errors import PathsearchError
from pathsearch.cli.prepare import DataDir, Json, Plugins, run_plugins
from pathsearch.cli.terminal import Terminal, errors

use_app = typer.Typer()  # its commands stand among the others, see cli.py


@use_app.command()
def bundle(
    runs: Annotated[list[str], typer.Argument(help="Finished runs on one encoder, one a task.")],
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    with_encoder: Annotated[
        bool, typer.Option("--with-encoder", help="Put the encoder's weights inside; those of a file always are.")
    ] = False,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write model.onnx too, for other runtimes.")] = False,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            help='A further answer by rule, such as "usable = quality is good and lung_share > 0.2"; repeatable.'
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the bundle at --out.")] = False,
    plugin: Plugins = None,
    data_dir: DataDir = Path("data"),
    runs_dir: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("runs"),
    as_json: Json = False,
) -> None:
    """Put encoder, router, experts and a model card into one folder that answers images anywhere."""
    from pathsearch.experts import bundle as bundles
    from pathsearch.run.runs import find_run, unsealed

    terminal = Terminal(as_json)
    run_plugins(plugin)
    extras = bundles.Extras(with_encoder, onnx, tuple(rule or ()))
    chosen = [find_run(runs_dir, name) for name in runs]
    for line in unsealed(chosen):
        terminal.say(line)
    with terminal.progress():
        index = bundles.write(chosen, data_dir, out, terminal, extras, overwrite=overwrite)
    for task, entry in index["tasks"].items():
        terminal.say(f"task {task}: {', '.join(entry['classes'])} (run {entry['run']})")
    for text in index.get("rules", []):
        terminal.say(f"rule {text}")
    about, weights = index["encoder"], index["encoder_weights"]
    inside = "inside" if weights == bundles.TRUNK else f"{weights}, not inside: made or downloaded where it is loaded"
    trunk = f"encoder {about['name']}, {about['weights']}; weights {inside}"
    terminal.say("no encoder: the networks read pixels" if weights == bundles.NO_TRUNK else trunk)
    terminal.say(f"bundle  {out}\ncard    {out / bundles.CARD}")
    terminal.say(f"next: pathsearch predict {out} IMAGES")
    terminal.emit({**index, "folder": str(out)})


@use_app.command()
def predict(
    bundle: Annotated[Path, typer.Argument(help="A folder that `pathsearch bundle` made.")],
    files: Annotated[list[str], typer.Argument(help="Images, folders of images, or - for names on standard input.")],
    task: Annotated[
        list[str] | None,
        typer.Option(help="The task of all images, if known: its experts answer each, unknown or not; repeatable."),
    ] = None,
    kind: Annotated[str, typer.Option("--format", help="csv, or jsonl: with every class's probability.")] = "csv",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the rows here, whole at the end; by default to standard output, each at once. Where a task of "
            "the bundle answers with masks or images, a folder: of these, as PNG, and the rows, answers.csv."
        ),
    ] = None,
    explain: Annotated[
        Path | None,
        typer.Option(
            help="Write into this folder, as PNG, each answered image's heat map (Grad-CAM); under a mask or a box the "
            "image itself."
        ),
    ] = None,
    explain_beside: Annotated[
        bool,
        typer.Option("--explain-beside", help="Write them beside the images, as IMAGE.heat.png or IMAGE.overlay.png."),
    ] = False,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images in a batch; by default what suits the encoder.")
    ] = None,
    plugin: Plugins = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto: cuda where there is one.")] = "auto",
) -> None:
    """Answer images: one row each, with task, class, probability, distance, and whether it is unknown.

    An image that does not decode gets a row with the error, and the exit code is 2. Distance is that to the task's
    own images over the task's threshold: above 1, the image is unknown and gets no class. In CSV an apostrophe stands
    before a name that a spreadsheet would run as a formula (=, +, -, @ first); jsonl has all names as they are.

    A mask has the size of its image and the grey levels of the task's own masks; its row has pixels and share of each
    label. Boxes are in pixels of the image as it was given. An unknown image gets none of these, unless --task says
    what it is: images of another hospital may all be unknown. Of several --task each has a row for every image.

    A rule of the bundle has a column: true, false, or empty where an expert that it needs did not answer.
    """
    from pathsearch.encoders.encoder import choose_device
    from pathsearch.experts.answer import Answer
    from pathsearch.experts.answer_columns import more_columns
    from pathsearch.experts.answer_files import NamedFiles, write_pictures
    from pathsearch.experts.answer_rows import Rows, check_format
    from pathsearch.experts.bundle import load
    from pathsearch.experts.pictures import image_files
    from pathsearch.reports.heat_files import explained

    check_format(kind)
    run_plugins(plugin)
    if explain and explain_beside:
        raise PathsearchError("--explain: expected one place for heat maps, got two; drop --explain-beside")
    predictor = load(bundle, choose_device(device))
    times = max(1, len(predictor.model.asked(task)))  # rows an image
    targets = [expert.target for expert in predictor.model.experts.values()]
    draws = any(one.gives in ("mask", "image") for one in targets)
    pictures = NamedFiles(_folder(out)) if out and draws else None
    heat = NamedFiles(explain, pictures) if explain or explain_beside else None
    table = out / f"answers.{kind}" if out and draws else out
    named = image_files(files, sys.stdin.buffer)
    total = 0
    if "-" not in files:  # a list on standard input may have no end
        known = list(named)
        named, total = iter(known), len(known) * times
    said: Counter[str] = Counter()
    undrawn = undone = 0
    terminal, started = Terminal(as_json=True), time.perf_counter()
    with terminal.progress(), _opened(table) as stream:
        terminal.stage("predict", total)
        warm = heat is not None and any(one.gives == "class" for one in targets)
        more = (*more_columns(targets, explained=heat is not None), *(one.name for one in predictor.model.rules))
        rows = Rows(stream, kind, warm, more)
        for done, answer in enumerate(predictor.stream(named, batch_size, task), 1):
            written: dict[str, Path] = {}
            troubles = []
            if not isinstance(answer, Answer):
                said["failed"] += 1
            else:
                said[answer.task or "unknown"] += 1
                if pictures is not None:
                    try:
                        written |= write_pictures(answer, pictures)
                    except OSError as error:
                        troubles.append(f"answer not written: {' '.join(str(error).split())}")
                        undone += 1
                if heat is not None and answer.task is not None:
                    drawn, missing = explained(predictor, answer, heat)
                    written |= drawn
                    troubles += missing
                    undrawn += bool(missing)
            rows.write(answer, written, "; ".join(troubles) or None)
            terminal.count(done, total, f"{done / (time.perf_counter() - started):.0f} images/s")
    n, seconds = (said.total() - said["failed"]) // times + said["failed"], time.perf_counter() - started
    counts = ", ".join(f"{said[name]} {name}" for name in (*predictor.model.router.tasks, "unknown", "failed"))
    counts += f", {undrawn} without a heat map" if undrawn else ""
    counts += f", {undone} whose answer was not written" if undone else ""
    errors.print(f"{n} images: {counts}; {n / seconds:.0f} a second", markup=False)
    if draws and pictures is None:
        errors.print("masks and images were not written; --out FOLDER writes them, beside answers.csv", markup=False)
    if said["failed"] or undrawn or undone:
        raise typer.Exit(2)


def _folder(out: Path) -> Path:
    """A folder for answers that are pictures; what is a file, or is called like one, is refused."""
    if out.is_file() or out.suffix.lower() in (".csv", ".jsonl", ".json"):
        raise PathsearchError(
            f"--out {out}: expected a folder, since this bundle answers with masks or images, got a file; give a "
            "folder: the rows will be its answers.csv"
        )
    return out


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that appears whole; file names that are not UTF-8 pass through as they are."""
    from data_prep.whole_files import appears_whole

    if out is None:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
        yield sys.stdout
        return
    with appears_whole(out) as part, part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        yield stream
