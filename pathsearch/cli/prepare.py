"""`pathsearch prepare …`: raw data to a prepared task, one command a source."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from data_prep.errors import PathsearchError
from pathsearch.cli.terminal import Terminal

prepare_app = typer.Typer(
    help="Turn raw data into a prepared task: ordinary images, manifest.csv and task.json. Beside a class, images may "
    "have a mask, a box or numbers, or these alone.",
    no_args_is_help=True,
)

DataDir = Annotated[Path, typer.Option(help="Where prepared tasks and encoded features are kept.")]
Seed = Annotated[int, typer.Option(help="Seed of all random choices.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on standard output.")]
Name = Annotated[str, typer.Option(help="Name of the task.")]
ImageSize = Annotated[int, typer.Option(help="Pixels a side of the prepared images; 64 is fast, 224 is ImageNet's.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a prepared task of this name.")]
Duplicates = Annotated[
    str, typer.Option(help="Images in two splits, pixel for pixel: refuse, move into one split, or report.")
]
LookAlikes = Annotated[
    bool, typer.Option("--look-alikes/--no-look-alikes", help="Count near copies of images across splits.")
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out images that cannot be used, and say so.")]
Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        help="A Python file with parts of your own, which is run; or an installed plug-in. Repeatable.",
    ),
]
MaskNames = Annotated[
    str | None, typer.Option(help="Classes of the masks' pixels from dark to light, background first: background,lung.")
]
Target = Annotated[
    str | None,
    typer.Option(
        help="What the task asks for: class, mask, box or image, or a plug-in's; the first there is by default."
    ),
]
Mirror = Annotated[
    bool | None,
    typer.Option(
        "--mirror/--no-mirror",
        help="Mirror half of the views of training images; by default not where a name has left or right in it.",
    ),
]
Classes = Annotated[str | None, typer.Option(help="Class names in order, with commas.")]


def run_plugins(named: list[str] | None) -> tuple[str, ...]:
    """Run the plug-ins that a command names and return how they are known; without any, torch is not imported yet."""
    if not named:
        return ()
    from pathsearch.grid.plugins import load_plugins

    return load_plugins(named)


def _target(name: str | None, plugins: list[str] | None) -> str | None:
    """A target that there is: one of the built-in names, or one that a plug-in registers."""
    from data_prep.table_words import TARGETS

    if name is None or name in TARGETS:
        return name
    own: list[str] = []
    if run_plugins(plugins):
        from pathsearch.targets import target  # imports torch, as the plug-ins did

        own = [kind for kind in target.TARGETS if kind not in TARGETS]
        if name in own:
            return name
    raise PathsearchError(
        f"--target: expected one of {', '.join([*TARGETS, *own])}; got {name!r}; one of your own needs --plugin FILE"
    )


def _prepare(as_json: bool, prepare: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    """Run one preparation with a progress bar and print what it made."""
    terminal, plugins = Terminal(as_json), options.pop("plugin", None) or []
    run_plugins(plugins)
    with terminal.progress():
        terminal.stage("prepare", 0)
        task = prepare(*arguments, **options, progress=terminal.count)
    terminal.say(f"task {task.name}: {len(task.table)} images in {task.task_dir}")
    terminal.task_lines(task)
    named = shlex.join(word for one in plugins for word in ("--plugin", one))
    train = "train --blueprint unet"
    start = train if task.target in ("mask", "box", "image") else "evolve"
    terminal.say(f"next: pathsearch {start} --task {task.name} {named}".rstrip())
    for other in (one for one in task.targets if one in ("mask", "box") and one != task.target):
        terminal.say(f"      pathsearch {train} --task {task.name}:{other} {named}".rstrip())
    terminal.emit(task.info)


@prepare_app.command()
def ecg(
    source: Annotated[str, typer.Option(help="A folder of WFDB records, or physionet to download MIT-BIH.")],
    name: Name = "ecg",
    split: Annotated[str, typer.Option(help="random (beats), patient, or ds1-ds2 (de Chazal 2004).")] = "random",
    classes: Annotated[str, typer.Option(help="Annotation symbols with commas, aami, or n-v-a-l-r.")] = "A,L,R",
    half_window: Annotated[int, typer.Option(help="Samples before and after the R peak.")] = 128,
    context: Annotated[
        str,
        typer.Option(
            help="Drawn beside the beat: none; strip (2 s on each side below it); relative (its difference from the "
            "record's median beat, above bars for the R-R intervals around it); rhythm (as relative, but against the "
            "record's slowest steady rhythm: where most of its beats are ectopic, they still look so)."
        ),
    ] = "none",
    image_size: ImageSize = 128,
    duplicates: Duplicates = "report",
    look_alikes: LookAlikes = True,
    overwrite: Overwrite = False,
    data_dir: DataDir = Path("data"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Draw the beats of WFDB records, channel MLII, as images."""
    from data_prep.ecg import prepare_ecg

    options = {"name": name, "duplicates": duplicates, "split": split, "classes": classes, "half_window": half_window}
    more = {"context": context, "image_size": image_size, "seed": seed, "overwrite": overwrite}
    kept = {"look_alikes": look_alikes}
    _prepare(as_json, prepare_ecg, source, data_dir, **options, **kept, **more)


@prepare_app.command()
def pneumonia(
    source: Annotated[Path, typer.Option(help="The Kaggle folder chest_xray.")],
    name: Name = "pneumonia",
    split: Annotated[str, typer.Option(help="official, patient or random.")] = "official",
    kinds: Annotated[
        str | None,
        typer.Option(help="Two or all of normal,bacteria,virus, by file name; NORMAL, PNEUMONIA by default."),
    ] = None,
    image_size: ImageSize = 128,
    duplicates: Duplicates = "refuse",
    look_alikes: LookAlikes = True,
    skip_bad: SkipBad = False,
    overwrite: Overwrite = False,
    data_dir: DataDir = Path("data"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Chest X-rays in Kaggle's layout; the official test split is never touched."""
    from data_prep.xray import prepare_pneumonia

    options = {"name": name, "duplicates": duplicates, "split": split, "kinds": kinds, "image_size": image_size}
    kept = {"look_alikes": look_alikes, "skip_bad": skip_bad}
    _prepare(as_json, prepare_pneumonia, source, data_dir, **options, **kept, seed=seed, overwrite=overwrite)


@prepare_app.command()
def lungs(
    source: Annotated[Path, typer.Option(help="A folder with images/ and masks/, file names ending in _0 or _1.")],
    test: Annotated[
        Path | None, typer.Option(help="A second such folder whose images are the test split, such as Montgomery's.")
    ] = None,
    name: Name = "lungs",
    split: Annotated[
        str | None, typer.Option(help="random, patient or official; official with --test, else random by default.")
    ] = None,
    image_size: ImageSize = 128,
    target: Target = "mask",
    plugin: Plugins = None,
    duplicates: Duplicates = "refuse",
    look_alikes: LookAlikes = True,
    skip_bad: SkipBad = False,
    overwrite: Overwrite = False,
    data_dir: DataDir = Path("data"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Chest X-rays with lung masks (Shenzhen, Montgomery): mask, box around the lungs, tuberculosis or not."""
    from data_prep.lungs import prepare_lungs

    options = {"test": test, "name": name, "duplicates": duplicates, "split": split, "image_size": image_size}
    kept = {"look_alikes": look_alikes, "skip_bad": skip_bad, "target": _target(target, plugin), "plugin": plugin}
    _prepare(as_json, prepare_lungs, source, data_dir, **options, **kept, seed=seed, overwrite=overwrite)


@prepare_app.command()
def images(
    of: Annotated[list[str], typer.Option(help="A prepared task whose images are taken; repeatable.")],
    name: Name,
    look_alikes: Annotated[
        bool,
        typer.Option(
            "--look-alikes/--no-look-alikes", help="Leave out look-alikes of test images, too, not only their copies."
        ),
    ] = True,
    overwrite: Overwrite = False,
    data_dir: DataDir = Path("data"),
    as_json: Json = False,
) -> None:
    """The images of prepared tasks without their labels, each in its split: what an encoder learns from."""
    from data_prep.united import prepare_images_of

    _prepare(as_json, prepare_images_of, of, data_dir, name=name, look_alikes=look_alikes, overwrite=overwrite)


@prepare_app.command()
def folder(
    source: Annotated[Path, typer.Option(help="A folder of class folders, with or without train, val, test above.")],
    name: Name,
    split: Annotated[str | None, typer.Option(help="official, patient or random; what the tree allows.")] = None,
    groups: Annotated[
        str | None, typer.Option(help="Regular expression whose one group finds the patient in a file name.")
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="A folder of masks, laid out as --source is; with them images need no class folders."),
    ] = None,
    mask_names: MaskNames = None,
    target: Target = None,
    mirror: Mirror = None,
    plugin: Plugins = None,
    image_size: ImageSize = 128,
    duplicates: Duplicates = "refuse",
    look_alikes: LookAlikes = True,
    skip_bad: SkipBad = False,
    overwrite: Overwrite = False,
    data_dir: DataDir = Path("data"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Any folder of images sorted into one folder a class, with or without a folder of masks beside it."""
    from data_prep.folder import prepare_folder

    options = {"name": name, "duplicates": duplicates, "split": split, "groups": groups, "image_size": image_size}
    kept = {"look_alikes": look_alikes, "skip_bad": skip_bad, "mirror": mirror}
    truth = {"masks": masks, "mask_names": mask_names, "target": _target(target, plugin), "plugin": plugin}
    _prepare(as_json, prepare_folder, source, data_dir, **options, **kept, **truth, seed=seed, overwrite=overwrite)


@prepare_app.command()
def csv(
    source: Annotated[
        Path,
        typer.Option(help="A table with columns file, label; if known split, group, mask, x_min,y_min,x_max,y_max."),
    ],
    name: Name,
    split: Annotated[str | None, typer.Option(help="official, patient or random; what the columns allow.")] = None,
    classes: Classes = None,
    numbers: Annotated[
        str | None, typer.Option(help="Columns of numbers beside the image that the task keeps, with commas: age,rr.")
    ] = None,
    mask_names: MaskNames = None,
    target: Target = None,
    mirror: Mirror = None,
    plugin: Plugins = None,
    image_size: ImageSize = 128,
    duplicates: Duplicates = "refuse",
    look_alikes: LookAlikes = True,
    skip_bad: SkipBad = False,
    overwrite: Overwrite = False,
    data_dir: DataDir = Path("data"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """A table of image files with labels, masks, boxes or numbers: the manifest's own columns."""
    from data_prep.csv_table import prepare_csv

    options = {"name": name, "duplicates": duplicates, "split": split, "classes": classes, "image_size": image_size}
    kept = {"look_alikes": look_alikes, "skip_bad": skip_bad, "mirror": mirror}
    truth = {"mask_names": mask_names, "numbers": numbers, "target": _target(target, plugin), "plugin": plugin}
    _prepare(as_json, prepare_csv, source, data_dir, **options, **kept, **truth, seed=seed, overwrite=overwrite)


@prepare_app.command()
def npz(
    source: Annotated[Path, typer.Option(help="A MedMNIST .npz file.")],
    name: Annotated[str | None, typer.Option(help="Name of the task; the file's by default.")] = None,
    split: Annotated[str | None, typer.Option(help="official or random.")] = None,
    classes: Classes = None,
    mask_names: MaskNames = None,
    target: Target = None,
    mirror: Mirror = None,
    plugin: Plugins = None,
    image_size: Annotated[int | None, typer.Option(help="Pixels a side; the file's own by default.")] = None,
    duplicates: Duplicates = "report",
    look_alikes: LookAlikes = True,
    overwrite: Overwrite = False,
    data_dir: DataDir = Path("data"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """An array file in MedMNIST's layout: train_images, train_labels and so on; masks are train_masks."""
    from data_prep.npz import prepare_npz

    options = {"name": name, "duplicates": duplicates, "split": split, "classes": classes, "image_size": image_size}
    kept = {"look_alikes": look_alikes, "mirror": mirror}
    truth = {"mask_names": mask_names, "target": _target(target, plugin), "plugin": plugin}
    _prepare(as_json, prepare_npz, source, data_dir, **options, **kept, **truth, seed=seed, overwrite=overwrite)
