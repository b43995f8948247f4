"""Heart beats of WFDB records, such as MIT-BIH's, to a prepared task of drawn traces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from data_prep.beat_symbols import symbols_of_classes
from data_prep.beats import CHANNEL, read_beats
from data_prep.construction import Progress, existing_source, provenance, task_under_construction
from data_prep.context_drawing import CONTEXTS, check_context, painter
from data_prep.errors import PathsearchError
from data_prep.images import SUFFIX, check_image_size, safe, split_bad, write_images
from data_prep.leakage import check_action, keep_apart
from data_prep.manifest import Task, load_task, save_task
from data_prep.splits import DS1, DS2, PACED, Split, assign, ds1_ds2_split
from data_prep.table_checks import check_table
from data_prep.wfdb_files import download_mitdb

SAME_PATIENT = {"201": "201+202", "202": "201+202"}  # MIT-BIH: two records of one person
SPLITS_OF_BEATS = ("random", "patient", "ds1-ds2")


def prepare_ecg(
    source: str | Path,
    data_dir: str | Path,
    *,
    name: str = "ecg",
    split: str = "random",
    classes: str = "A,L,R",
    image_size: int = 128,
    half_window: int = 128,
    context: str = "none",
    seed: int = 0,
    duplicates: str = "report",
    look_alikes: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Task:
    """Draw the beats of the chosen annotations in channel MLII and prepare them as a task.

    Counts to expect of MIT-BIH with the defaults: A 2546, L 8071, R 7256.

    Args:
        source: a folder of WFDB records (`.hea`, `.dat`, `.atr`), or `physionet` to download MIT-BIH.
        data_dir: where prepared tasks lie; a download goes to `raw/mitdb` in it.
        name: of the new task.
        split: `random` (beats), `patient`, or `ds1-ds2` (MIT-BIH after de Chazal 2004).
        classes: symbols with commas between them, or `aami`, or `n-v-a-l-r`.
        image_size: side of the square images in pixels.
        half_window: samples before and after the R peak; 128 is 0.36 s at 360 Hz. A beat nearer to an end
            of its record is left out.
        context: what is drawn beside the beat: `none`, `strip`, `relative` or `rhythm`; see `CONTEXTS`.
        seed: of the split.
        duplicates: of beats whose drawings are, pixel for pixel, in two splits: `refuse`, `move` all copies into one
            split, or `report` them only: two beats can be drawn alike without being one. MIT-BIH has no such
            pair in A, L and R, from 16 pixels a side upwards.
        look_alikes: count near copies across splits.
        overwrite: replace a finished task of this name.
        progress: told `(done, total)` as images are written.

    Raises:
        BadData: no WFDB records, no channel MLII, damaged records, or no beat of a class.
        PathsearchError: a bad argument, an existing task, or a failed download.
    """
    check_image_size(image_size)
    check_action(duplicates)
    check_context(context)
    wanted = symbols_of_classes(classes)
    if split not in SPLITS_OF_BEATS:
        raise PathsearchError(f"--split: expected {', '.join(SPLITS_OF_BEATS)} for ECG, got {split!r}")
    if half_window < 8:
        raise PathsearchError(f"--half-window: expected at least 8 samples, got {half_window}; 128 is usual")
    with task_under_construction(Path(data_dir), name, overwrite) as part:
        folder = _records_folder(source, Path(data_dir))
        beats = read_beats(folder, wanted, half_window)
        class_of = {symbol: label for label, symbols in wanted.items() for symbol in symbols}
        labels = [class_of[symbol] for symbol in beats.symbols]
        groups = [SAME_PATIENT.get(record, record) for record in beats.records]
        parts, facts = _divide(split, labels, groups, beats.records, seed)
        files = [
            f"images/{safe(label)}/{safe(record)}_{sample}{SUFFIX}"
            for label, record, sample in zip(labels, beats.records, beats.samples, strict=True)
        ]
        table = pd.DataFrame({"file": files, "label": labels, "split": parts, "group": groups})
        kept = np.flatnonzero(parts != "")
        table = table.iloc[kept].reset_index(drop=True)
        check_table(table, list(wanted), f"task {name!r}", groups_apart=facts["groups_apart"])
        paint = painter(context, beats, half_window, image_size)
        made = write_images([part / file for file in table["file"]], lambda number: paint(int(kept[number])), progress)
        prints, _ = split_bad(made, table["file"].tolist(), f"task {name!r}")
        apart = keep_apart(table, prints, facts, duplicates, f"task {name!r}", look_alikes)
        for file in apart.removed:
            (part / file).unlink()
        words, licence = _source(folder, beats.all_records)
        save_task(
            part,
            name=name,
            classes=list(wanted),
            table=apart.table,
            split=facts,
            source=words,
            licence=licence,
            options={
                "image_size": image_size,
                "half_window": half_window,
                "context": CONTEXTS[context],
                "channel": CHANNEL,
                "symbols": {label: list(symbols) for label, symbols in wanted.items()},
                "samples_per_second": beats.rates,
                "mirror": False,  # time has a direction
            },
            notes=[*beats.notes, *_left_out(len(beats.records) - len(kept)), *apart.notes],
            leakage=apart.facts,
        )
    return load_task(Path(data_dir), name)


def _records_folder(source: str | Path, data_dir: Path) -> Path:
    if str(source) == "physionet":
        folder = data_dir / "raw" / "mitdb"
        download_mitdb(folder)
        return folder
    return existing_source(source, "a folder of WFDB records, or the word physionet")


def _divide(split: str, labels: Sequence[str], groups: Sequence[str], records: Sequence[str], seed: int) -> Split:
    if split == "ds1-ds2":
        return ds1_ds2_split(labels, groups, records, seed)
    return assign(split, labels, groups, [""] * len(labels), seed, unit="beats")


def _source(folder: Path, records: Sequence[str]) -> tuple[str, str]:
    if set(records) == {*DS1, *DS2, *PACED}:
        return "MIT-BIH Arrhythmia Database 1.0.0, PhysioNet, DOI 10.13026/C2F305", "ODC-By 1.0"
    return provenance(folder, f"WFDB records in folder {folder.resolve().name}", "unknown")


def _left_out(n_beats: int) -> list[str]:
    return [f"{n_beats} beats were left out: their records are in neither DS1 nor DS2"] if n_beats else []
