"""What training several targets together is worth: separate networks beside three strategies, by the command line.

    python -m tests.benchmarks.bench_strategies TASK TASK:TARGET … [--data-dir data] [--runs-dir runs/strategies]
        [--seeds 3] [--grid RUN] [--set KEY=VALUE …]

Question, as it stood before the first run. UMS-Rep (Zamzmi et al. 2021, table 3) finds for lungs and tuberculosis that
separate heads on a fixed encoder (independent) do as well as training by turns (alternating), and much better than
training jointly, and that all do better than separate models. Asked of the same two tasks, `lungs` and `lungs:class`
(Shenzhen for training and validation, Montgomery for the test, 128 px), with the preset `ums-rep`, seeds 0 to 2, first
from new weights, then begun from the layers of a denoising run on X-rays (`--grid`):

1. Is a strategy better or worse than separate networks, or than another strategy, in Dice and in accuracy?
2. What does it cost beside separate networks: seconds of training and parameters, as ratios?

Ways: `separate` trains each task alone, from new weights. `independent` trains the first task, then the others on its
layers, which are fixed. `alternating` and `joint` train all at once. With --grid all but `separate` stand on that run's
layers.

Rule, fixed before the first run. Each image's quality (Dice; 1 or 0 for a class) is averaged over the seeds; a way is
better than another if the 95 % interval of the mean difference over the test images (bootstrap over images, or over
patients where they are known) is above 0. Six pairs of ways a task are asked and none corrected for: an interval that
only just clears 0 says little. Nothing is chosen on the test images.

A first run was stopped after the eight trainings of `separate` and `independent` that it had come to: without views of
the training images, as the preset was then, Dice on Montgomery was 0.62 to 0.69 where validation had 0.95, and a class
was guessed (AUC 0.50 to 0.65).
What is asked is asked again with the preset as it is since, on strong views. So the test images were seen before, and
the views follow from that; ways are compared on them alike.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data_prep.manifest import load_task
from data_prep.table_words import as_file_name
from pathsearch.encoders.features import encode
from pathsearch.encoders.pixels import make_encoder
from pathsearch.experts.expert import Expert
from pathsearch.run.runs import Run
from pathsearch.training.batches import answering_batch, joined

WAYS = ("separate", "independent", "alternating", "joint")
DRAWS = 10_000


def train(way: str, tasks: Sequence[str], seed: int, given: argparse.Namespace) -> list[Run]:
    """The finished runs of a way, one a task; what was interrupted is gone on with."""
    names = [f"{way}-s{seed}-{as_file_name(task)}" for task in tasks]
    common = ["--blueprint", "ums-rep", "--seed", str(seed), "--data-dir", given.data_dir, "--runs-dir", given.runs_dir]
    common += [word for one in given.set for word in ("--set", one)] + ["--resume"]
    if way == "separate":
        for task, name in zip(tasks, names, strict=True):
            call(["--task", task, "--run-name", name, *common])
    else:
        grid = ["--grid", given.grid] if given.grid else []
        named = [word for task in tasks for word in ("--task", task)]
        call([*named, "--strategy", way, "--run-name", f"{way}-s{seed}", *grid, *common])
    return [Run(Path(given.runs_dir) / name) for name in names]


def call(words: Sequence[str]) -> None:
    """`pathsearch train`, whose progress goes on standard error."""
    subprocess.run([sys.executable, "-m", "pathsearch.cli", "train", *words], check=True, stdout=subprocess.DEVNULL)


def qualities(run: Run, data_dir: Path) -> np.ndarray:
    """(n,) of the expert's answers to the test images, NaN where the truth is unknown."""
    settings, expert = run.settings(), Expert.load(run.expert_file)
    task = load_task(data_dir, settings.task)
    test = encode(task, make_encoder(settings.encoder, torch.device("cpu")), data_dir / "features").test()
    parts = torch.arange(len(test)).split(answering_batch(expert.path_network))
    said = joined([expert.said(test.raw(part), test.truth[part]) for part in parts])
    found = expert.target.quality(said, test.truth, expert.facts.threshold).astype(float)
    found[~expert.target.known(test.truth).numpy()] = np.nan
    return found


def difference(own: np.ndarray, other: np.ndarray, groups: np.ndarray) -> tuple[float, float, float]:
    """Mean over images of own minus other, and its 95 % interval: a bootstrap over groups."""
    each = own - other
    known = ~np.isnan(each)
    each, groups = each[known], groups[known]
    _, which = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(which, each), np.bincount(which)
    drawn = np.random.default_rng(0).integers(len(sums), size=(DRAWS, len(sums)))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    return float(each.mean()), *map(float, np.percentile(means, [2.5, 97.5]))


def main() -> None:
    """Train, test and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+")
    parser.add_argument("--data-dir", default="data")
    parser.add_argument("--runs-dir", default="runs/strategies")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--grid")
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    runs = {way: [train(way, given.tasks, seed, given) for seed in range(given.seeds)] for way in WAYS}
    result: dict[str, Any] = {"ways": {}, "pairs": {}}
    print("| task | way | test, by seed | seconds of training | parameters |\n| --- | --- | --- | --- | --- |")
    for place, name in enumerate(given.tasks):
        task = load_task(Path(given.data_dir), name)
        table = task.table[task.table["split"] == "test"]
        groups = np.where(table["group"] != "", table["group"], table["file"])
        means = {}
        for way in WAYS:
            own = [seed[place] for seed in runs[way]]
            reports = [run.report() for run in own]
            each = [qualities(run, Path(given.data_dir)) for run in own]
            means[way] = np.mean(each, axis=0)
            tested = [float(np.nanmean(one)) for one in each]
            seconds = [report["seconds"]["train"] for report in reports]
            size = reports[0].get("together", {}).get("parameters", reports[0]["parameters"]["expert"])
            result["ways"][f"{name} {way}"] = {"test": tested, "seconds": seconds, "parameters": size}
            told = ", ".join(f"{one:.4f}" for one in tested)
            print(f"| {name} | {way} | {told} | {np.mean(seconds):.0f} | {size:,} |")
        for one, other in combinations(WAYS, 2):
            mean, low, high = difference(means[one], means[other], groups)
            verdict = "better" if low > 0 else "worse" if high < 0 else "not shown to differ"
            result["pairs"][f"{name} {one} {other}"] = [mean, low, high]
            print(f"\n{name}: {one} minus {other}: {mean:+.4f} ({low:+.4f}, {high:+.4f}), {verdict}")
    Path(given.runs_dir, "strategies.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
