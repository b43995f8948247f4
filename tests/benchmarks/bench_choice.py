"""Which rule chooses the better expert where validation is small? Four rules on the same trained finalists.

    python -m tests.benchmarks.bench_choice --data-dir data --task tb [--seeds 10] [--encoder-weights FILE]
        [--image-size 128] [--set training.images_per_class=50]

At every seed one search ends in its finalists, and each is trained alone and, for the rules that ask for it, once for
each part of training and validation images. The rules differ in whether the linear probe is a finalist too, and in the
images that choose:

- `validation`: the evolved finalists, by the validation images;
- `validation+probe`: the probe beside them;
- `folds`: the evolved finalists, cross-validated;
- `folds+probe`: the probe beside them, which is what `pathsearch evolve` does.

What each rule chose is fixed and refitted at every seed before the test images are read, once, for all of them; so are
the probe and the full grid. Differences are paired over seeds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

from data_prep.manifest import load_task
from data_prep.whole_files import write_json
from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.features import encode, split_in_words
from pathsearch.encoders.split import Split
from pathsearch.grid.path import PROBE
from pathsearch.measures.statistics import corrected, over_seeds, spread
from pathsearch.run.place import Place
from pathsearch.run.settings import EncoderSettings, RunSettings, with_settings
from pathsearch.search.choice import Ballot
from pathsearch.search.finalists import finalists
from pathsearch.search.search import Ground, search
from pathsearch.training.baselines import refit_path, train_path
from pathsearch.training.batches import said_to
from pathsearch.training.bench import Bench
from pathsearch.training.folds import choice_folds
from pathsearch.training.fresh import evaluator
from pathsearch.training.last_training import Trained
from tests.benchmarks.table import OUT, device, machine

RULES = ("validation", "validation+probe", "folds", "folds+probe")
BESIDE = ("probe", "full grid")


def chosen_at(bench: Bench) -> dict[str, Trained]:
    """What each rule chooses at a seed, and the probe and the full grid, refitted if the settings ask for it."""
    grid = bench.grid()
    scorer, ground = evaluator(bench, grid), Ground.of(grid, bench.task, bench.search.rungs)
    start = {name: tensor.clone() for name, tensor in grid.state_dict().items()}
    state = search(scorer, ground, bench.search, bench.seed)
    paths = [PROBE, *finalists(bench, ground, scorer, state)]
    grid.load_state_dict(start)
    alone = [train_path(bench.without_refit(), grid, path) for path in paths]
    parts = choice_folds(bench).parts
    folded = [[train_path(part, part.grid(), path) for part in parts] for path in paths]
    sizes = [sum(p.numel() for p in one.network.parameters()) for one in alone]
    found: dict[str, Trained] = {}
    for rule in RULES:
        first = 0 if rule.endswith("+probe") else 1
        ballot = Ballot(bench, parts if rule.startswith("folds") else ())
        said = [ballot.said(one, its) for one, its in zip(alone, folded, strict=True)]
        at = first + ballot.choose(paths[first:], alone[first:], sizes[first:], said[first:]).chosen
        found[rule] = refit_path(bench, grid, paths[at], alone[at])
    full = grid.space.full_path()
    return {**found, "probe": refit_path(bench, grid, PROBE, alone[0]), "full grid": train_path(bench, grid, full)}


def tested(bench: Bench, trained: Trained, test: Split) -> dict[str, Any]:
    """Rates of one network on test, by the threshold that its validation answers fixed."""
    target, said = bench.target, said_to(bench.target, trained.network, bench.seen(test))
    fixed = target.fix(bench.last.threshold, trained.said, bench.validation.truth)
    rates = target.assess(said, test.truth, fixed, test.groups)
    size = sum(p.numel() for p in trained.network.parameters())
    return {"parameters": size, **{name: rates[name] for name in target.rates}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=FilePath, default=FilePath("data"))
    parser.add_argument("--task", required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--set", action="append", default=[], help="a setting of all; repeatable")
    parser.add_argument("--out", type=FilePath, default=OUT / "choice.json")
    parser.add_argument("--encoder", default="vgg16")
    parser.add_argument("--encoder-weights", default="random")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--map-size", type=int, default=4)
    asked = parser.parse_args()
    task = load_task(asked.data_dir, asked.task)
    about = EncoderSettings(asked.encoder, asked.encoder_weights, asked.image_size, asked.map_size)
    settings = RunSettings(task.name, task.split_name, encoder=about, data=task.fingerprint)
    settings = with_settings(settings, [*asked.set])
    encoder = Encoder(settings.encoder, device())
    features = encode(task, encoder, asked.data_dir / "features", settings.training.views)
    place = Place(asked.data_dir / "features", device())
    # 1. every rule at every seed, before any test image is read
    benches, fixed = [], []
    for seed in range(asked.seeds):
        started = time.perf_counter()
        drawn = features.asked(settings.training, seed)
        benches.append(Bench.of(settings, encoder, drawn, place).at(seed))
        fixed.append(chosen_at(benches[-1]))
        print(f"seed {seed}: {time.perf_counter() - started:.0f} s", flush=True)
    # 2. the test images, once
    test = features.test()
    each = [
        {name: tested(bench, one, test) for name, one in found.items()}
        for bench, found in zip(benches, fixed, strict=True)
    ]
    report = summary(each)
    splits = {"train": len(benches[0].training), "val": len(benches[0].validation), "test": len(test)}
    report |= {"machine": machine(), "task": task.name, "split": task.split_name, "n": splits}
    report |= {"split_in_words": split_in_words(task, settings.training.images_per_class)}
    report |= {"encoder": {**encoder.identity, "key": encoder.key}, "set": asked.set, "each": each}
    write_json(asked.out, report)
    for name, row in report["rules"].items():
        print(f"{name:18} {row['accuracy']['mean']:.4f} ± {row['accuracy']['sd'] or 0:.4f}", row["parameters"]["mean"])
    print(json.dumps(report["against"], indent=1))


def summary(each: Sequence[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Means over seeds, and what is done today against the other rules, paired over seeds, Holm over these."""
    names = ("accuracy", "balanced_accuracy", "auc", "parameters")
    rules = {rule: {name: spread([one[rule][name] for one in each]) for name in names} for rule in (*RULES, *BESIDE)}
    today = [one[RULES[-1]]["accuracy"] for one in each]
    others = (*RULES[:-1], *BESIDE)
    against = corrected({rule: over_seeds(today, [one[rule]["accuracy"] for one in each]) for rule in others})
    return {"rules": rules, "against": against}


if __name__ == "__main__":
    main()
