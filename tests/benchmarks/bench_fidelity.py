"""Does the fitness of a search rank paths as their own training does? Settings of the search, like for like.

    python -m tests.benchmarks.bench_fidelity --data-dir data --task pneumonia [--seeds 5 --paths 24]
        [--encoder squeezenet1_1 --encoder-weights FILE --image-size 224 --map-size 1] [--set grid.n_modules=20]
        [--unseen 5]
        [--variant averaged:search.average=0.95 --variant fresh:search.weights=fresh,search.steps=130]

For every seed:

- sample: half of the paths drawn as a search draws its first ones, half among those that the default search visited;
- truth: each path's validation score after the last training, alone and without a refit, from the initial weights of
  the seed's grid. A second training, from other initial weights and with other minibatches, gives the ceiling: how
  well one such training tells the order of another;
- variants: the default, which is the settings with every `--set`, and each `--variant` on top of them. Each runs a
  whole search at that seed and scores the sample with its last state. Under `fresh` weights a path's score is the same
  whatever else was searched, so only the sample is trained; `minibatches` says what the whole search would draw.

Reported is Kendall's tau-b of scores (ties in accuracy go to the likelihood) against the truth (accuracy alone, ties
are ties): over the random half, the visited half and both, mean and standard deviation over seeds, and a paired t-test
of every variant against the default (five seeds or more; Holm's correction over variants). The visited half is the
harder one: its paths are those between which a search has to choose. Where accuracies of good paths differ by less than
chance moves them, the ceiling is low and tau says little: `tau_likelihood`, of likelihoods on both sides, has less
noise.

A fitness that is measured on the validation images shares their luck with the truth; one that stands on other images
too (`search.folds`) does not. `--unseen K` is fair to both: the first of K parts of training and validation images is
kept from every search and training, the same trained paths are scored on it, and the taus against that are added
(`tau_unseen`, `tau_unseen_likelihood`). The first training and the `fresh` variants start from the same initial
weights; agreement with the second training, which shares them with nobody, is in the JSON as `tau_second`. No label or
feature of a test image is used.

Finished parts (seed and variant) are kept beside `--out`, under a digest of everything that decides them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from data_prep.errors import PathsearchError
from data_prep.manifest import load_task
from data_prep.whole_files import write_json
from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.features import Features, encode, split_in_words
from pathsearch.encoders.split import Split
from pathsearch.grid.path import Path, Space
from pathsearch.run.place import Place
from pathsearch.run.settings import EncoderSettings, RunSettings, SearchSettings, with_settings
from pathsearch.run.streams import derive, python_stream
from pathsearch.search.arena import minibatches
from pathsearch.search.search import Ground, search
from pathsearch.training import baselines
from pathsearch.training.batches import said_to
from pathsearch.training.bench import Bench
from pathsearch.training.fitness import Evaluator
from pathsearch.training.folds import folds
from pathsearch.training.fresh import evaluator
from tests.benchmarks.fidelity_table import DEFAULT, compare_with_default, row, show
from tests.benchmarks.table import OUT, device, machine

Scores = list[list[float]]  # of each path of the sample: score and log-likelihood


# --- what is asked --------------------------------------------------------------------------------------------------


def parse_variant(text: str) -> tuple[str, list[str]]:
    """A variant's name and its assignments.

    Raises:
        PathsearchError: it is not NAME:search.KEY=VALUE,…, or the name is the default's.
    """
    name, _, rest = text.partition(":")
    assignments = re.split(r",(?=\w+\.)", rest)  # a comma may stand within a value
    fits = re.fullmatch(r"[\w-]+", name) and all(re.match(r"search\.\w+=", one) for one in assignments)
    if not fits or name == DEFAULT:
        raise PathsearchError(
            f"--variant {text}: expected NAME:search.KEY=VALUE,…, the name a word other than {DEFAULT!r}; "
            "settings of other parts change paths, features or truth: give them to all variants with --set"
        )
    return name, assignments


def variants_of(base: RunSettings, texts: Sequence[str]) -> dict[str, RunSettings]:
    """Settings by name, the default first.

    Raises:
        PathsearchError: two variants of one name, or settings that are none.
    """
    found = {DEFAULT: base}
    for text in texts:
        name, assignments = parse_variant(text)
        if name in found:
            raise PathsearchError(f"--variant {text}: expected each name once, got {name!r} twice; rename one")
        found[name] = with_settings(base, assignments)
    return found


def draw_sample(space: Space, visited: Sequence[str], number: int, seed: int) -> dict[str, list[str]]:
    """Distinct paths by half: drawn as a search draws its first ones, and drawn among the visited."""
    rng = python_stream(seed, "fidelity", "random half")
    drawn: dict[str, None] = {}
    while len(drawn) < number // 2:
        drawn[str(space.random_path(rng))] = None
    pool = [text for text in visited if text not in drawn]
    chosen = python_stream(seed, "fidelity", "visited half").sample(pool, min(number - len(drawn), len(pool)))
    return {"random": list(drawn), "visited": chosen}


# --- the parts of a seed --------------------------------------------------------------------------------------------


def default_part(bench: Bench, number: int) -> dict[str, Any]:
    """The default search, the sample that all variants share, and its scores."""
    started = time.perf_counter()
    scorer, visited = searched(bench)
    space = replace(bench.grid().space, recipes=bench.search.recipes)
    sample = draw_sample(space, visited, number, bench.seed)
    return {"sample": sample, "scores": scores(scorer, both(sample)), "seconds": time.perf_counter() - started}


def variant_part(bench: Bench, sample: Mapping[str, list[str]]) -> dict[str, Any]:
    """One variant's scores of the sample after a search of its own."""
    started = time.perf_counter()
    scorer = new_evaluator(bench) if is_fresh(bench) else searched(bench)[0]
    return {"scores": scores(scorer, both(sample)), "seconds": time.perf_counter() - started}


def truth_part(bench: Bench, unseen: Split | None, weights: int, sample: Mapping[str, list[str]]) -> dict[str, Any]:
    """Fitness of each path trained alone, from the initial weights of seed `weights`: on validation, and unseen."""
    started, own = time.perf_counter(), bench.at(weights).without_refit()
    grid, measure = own.grid(), bench.search.fitness
    found: dict[str, Any] = {"scores": []} | ({"unseen": []} if unseen else {})
    for path in both(sample):
        trained = baselines.train_path(own, grid, path)
        found["scores"] += [list(bench.target.fitness(measure, trained.said, bench.validation.truth))]
        if unseen:
            said = said_to(bench.target, trained.network, unseen)
            found["unseen"] += [list(bench.target.fitness(measure, said, unseen.truth))]
    return {**found, "seconds": time.perf_counter() - started}


def kept_apart(bench: Bench, parts: int) -> tuple[Bench, Split | None]:
    """A bench without the first of so many parts of its images, and that part; 0 parts: with all, and None."""
    if not parts:
        return bench, None
    train, validation = bench.training, bench.validation
    cut = folds(bench.searched_by(SearchSettings(weights="fresh", folds=parts)).at(derive(bench.seed, "unseen")))[0]
    places = [np.flatnonzero(np.isin(one.rows[0], cut.training.rows[0])) for one in (train, validation)]
    return bench.on(train.only(places[0]), validation.only(places[1])), cut.validation


def both(sample: Mapping[str, list[str]]) -> list[Path]:
    return [Path.parse(text) for half in ("random", "visited") for text in sample[half]]


def scores(evaluator: Evaluator, paths: list[Path]) -> Scores:
    return [list(one) for one in evaluator.score(paths)]


def is_fresh(bench: Bench) -> bool:
    return bench.search.weights == "fresh"


def new_evaluator(bench: Bench) -> Evaluator:
    return evaluator(bench, bench.grid())


def searched(bench: Bench) -> tuple[Evaluator, list[str]]:
    """A whole search: its evaluator in the last state, and the paths that it visited."""
    scorer = new_evaluator(bench)
    state = search(scorer, Ground.of(bench.grid(), bench.task), bench.search, bench.seed)
    return scorer, state.visited


# --- a study --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Study:
    """Variants on one task's features; parts are kept in `folder`, so that a killed study goes on."""

    features: Features
    encoder: Encoder
    variants: dict[str, RunSettings]
    seeds: Sequence[int]
    paths: int
    folder: FilePath
    unseen: int = 0

    @property
    def base(self) -> RunSettings:
        """The default's settings."""
        return self.variants[DEFAULT]

    def bench(self, settings: RunSettings, seed: int) -> tuple[Bench, Split | None]:
        """Training and validation features of a seed, under a variant's settings, and those that it never sees."""
        drawn = self.features.asked(settings.training, seed)
        place = Place(self.folder, device())
        return kept_apart(Bench.of(replace(settings, seed=seed), self.encoder, drawn, place), self.unseen)

    def part(self, seed: int, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A finished part from its file, or made and kept."""
        own = self.variants.get(name, self.base).to_dict()
        about = json.dumps([self.base.to_dict(), own, seed, self.paths, self.unseen], sort_keys=True)
        file = self.folder / f"s{seed}-{name}-{hashlib.sha256(about.encode()).hexdigest()[:8]}.json"
        if file.is_file():
            return dict(json.loads(file.read_text()))
        made = make()
        write_json(file, made)
        print(f"seed {seed}  {name:<16} {made['seconds']:7.1f} s", flush=True)
        return made

    def of_seed(self, seed: int) -> dict[str, dict[str, Any]]:
        """All parts of a seed by name: every variant, and the two trainings."""
        bench, unseen = self.bench(self.base, seed)
        parts = {DEFAULT: self.part(seed, DEFAULT, lambda: default_part(bench, self.paths))}
        sample = parts[DEFAULT]["sample"]
        for name, weights in (("training 1", seed), ("training 2", derive(seed, "fidelity", "second"))):
            parts[name] = self.part(seed, name, lambda w=weights: truth_part(bench, unseen, w, sample))
        for name, settings in self.variants.items():
            if name != DEFAULT:
                own, _ = self.bench(settings, seed)
                parts[name] = self.part(seed, name, lambda own=own: variant_part(own, sample))
        return parts

    def report(self) -> dict[str, Any]:
        """Run what is missing; the taus of every variant with all that they stand on."""
        each = {seed: self.of_seed(seed) for seed in self.seeds}
        task, (bench, unseen) = self.features.task, self.bench(self.base, self.seeds[0])
        rows = {name: row(list(each.values()), name) for name in [*self.variants, "training 2"]}
        for name, settings in self.variants.items():
            rows[name]["minibatches"] = minibatches(replace(bench, settings=settings))
        compare_with_default(rows, [name for name in self.variants if name != DEFAULT])
        kept = ("grid", "search", "training")
        return {
            "machine": machine(),
            "task": task.name,
            "split": task.split_name,
            "split_in_words": split_in_words(task, self.base.training.images_per_class),
            # of the first seed: where images are kept unseen, each seed cuts the others a little differently
            "n": {"train": len(bench.training), "val": len(bench.validation), "unseen": len(unseen or ())},
            "encoder": {**self.encoder.identity, "key": self.encoder.key},
            "seeds": list(self.seeds),
            "settings": {name: {k: s.to_dict()[k] for k in kept} for name, s in self.variants.items()},
            "ceiling": rows.pop("training 2"),
            "variants": rows,
            "parts": {str(seed): parts for seed, parts in each.items()},
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=FilePath, default=FilePath("data"))
    parser.add_argument("--task", required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--paths", type=int, default=24, help="of the sample, half of them random, half visited")
    parser.add_argument("--variant", action="append", default=[], help="NAME:search.KEY=VALUE,…; repeatable")
    parser.add_argument("--set", action="append", default=[], help="a setting of all variants; repeatable")
    parser.add_argument("--unseen", type=int, default=0, help="K: keep one of K parts from every search and training")
    parser.add_argument("--out", type=FilePath, default=OUT / "fidelity.json")
    parser.add_argument("--encoder", default="vgg16")
    parser.add_argument("--encoder-weights", default="random")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--map-size", type=int, default=4)
    asked = parser.parse_args()
    task = load_task(asked.data_dir, asked.task)
    about = EncoderSettings(asked.encoder, asked.encoder_weights, asked.image_size, asked.map_size)
    base = RunSettings(task.name, task.split_name, encoder=about, data=task.fingerprint)
    base = with_settings(base, asked.set)
    about, encoder = base.encoder, Encoder(base.encoder, device())
    known = replace(about, weights=FilePath(about.weights).name)  # where the file lies decides nothing
    variants = variants_of(replace(base, encoder=known, encoder_key=encoder.key), asked.variant)
    features = encode(task, encoder, asked.data_dir / "features", base.training.views)
    seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
    study = Study(features, encoder, variants, seeds, asked.paths, asked.out.with_suffix(""), asked.unseen)
    report = study.report()
    write_json(asked.out, report)
    show(report)


if __name__ == "__main__":
    main()
