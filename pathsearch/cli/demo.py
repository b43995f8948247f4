"""The whole flow on generated data: true WFDB records and JPEG folders, through the same code as real ones."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import cast

import torch

from data_prep.ecg import prepare_ecg
from data_prep.synthetic import write_synthetic_ecg, write_synthetic_xrays
from data_prep.xray import prepare_pneumonia
from pathsearch.cli.terminal import Terminal
from pathsearch.encoders.encoder import Encoder
from pathsearch.experts import joint
from pathsearch.experts.evolve import evolve
from pathsearch.experts.heritage import Heritage
from pathsearch.experts.joint_report import JointReport
from pathsearch.reports import figures
from pathsearch.reports.report_page import write_page
from pathsearch.run.place import Place
from pathsearch.run.runs import Run
from pathsearch.run.settings import EncoderSettings, RunSettings, SearchSettings, TrainingSettings

IMAGE_SIZE = 64  # pixels; VGG-16 encodes some 80 such images a second on two cores
SEARCH = SearchSettings(population=32, generations=12, steps=25, warmup=50)  # small data: half of the usual
TRAINING = TrainingSettings(epochs=15, finalists=3, random_paths=2, probe=False)  # which such images are easy for


class DemoReport(JointReport):
    """A joint report, and where it lies."""

    folder: str


def run_demo(out: Path, seed: int, device: torch.device, terminal: Terminal) -> DemoReport:
    """Generate, prepare, evolve two tasks and evaluate them jointly under `out`; return the joint report."""
    data_dir, runs_dir = out / "data", out / "runs"
    terminal.say("Generated data: the numbers below show that everything works, and nothing about medicine.")
    terminal.say(
        "So that paths of modules are shown, the linear probe is a baseline here, and no finalist as in evolve."
    )
    with terminal.progress():
        terminal.stage("generate", 2)
        write_synthetic_ecg(out / "raw" / "mitdb", seed=seed)
        terminal.advance(1, "ECG records")
        write_synthetic_xrays(out / "raw" / "chest_xray", seed=seed)
        terminal.stage("prepare", 0)
        prepared = [
            partial(prepare_ecg, out / "raw" / "mitdb"),
            partial(prepare_pneumonia, out / "raw" / "chest_xray"),
        ]
        tasks = [
            prepare(data_dir, image_size=IMAGE_SIZE, seed=seed, overwrite=True, progress=terminal.count)
            for prepare in prepared
        ]
    encoder = Encoder(EncoderSettings(weights="random", image_size=IMAGE_SIZE), device)
    place = Place(data_dir / "features", device, terminal)
    runs, drawn, pages = [], [], []
    for task in tasks:
        settings = RunSettings(
            task.name, task.split_name, seed, encoder.settings, search=SEARCH, training=TRAINING, data=task.fingerprint
        )
        run = Run(runs_dir / f"{task.name}-{task.split_name}-s{seed}")
        run.open(settings, resume=False, overwrite=True)
        with terminal.progress():
            report = evolve(task, encoder, settings, run, Heritage(), place)
        terminal.run_table(report)
        drawn += figures.plot_run(run.folder)
        pages.append(write_page(run.folder, data_dir))
        runs.append(run)
    with terminal.progress():
        joint_report = joint.joint_evaluate(runs, data_dir, place, seed)
    folder = joint.save(joint_report, runs_dir)
    drawn += figures.plot_joint(folder)
    pages.append(write_page(folder, data_dir))
    terminal.joint_table(joint_report)
    terminal.figures(drawn)
    for page in pages:
        terminal.say(f"page    {page}")
    return cast("DemoReport", {**joint_report, "folder": str(folder)})
