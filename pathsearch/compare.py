"""Does search pay? The evolved path beside its controls over several seeds: all on validation first, then one test."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout

from data_prep.errors import PathsearchError
from data_prep.manifest import Task
from data_prep.whole_files import write_json
from pathsearch import metrics, rivals
from pathsearch.arena import STAGES, Arena, Budget, Entry
from pathsearch.clusters import clusters
from pathsearch.config import RunSettings
from pathsearch.decision import decide
from pathsearch.encoder import Encoder
from pathsearch.features import Split, encode, split_in_words
from pathsearch.intervals import method as by_what
from pathsearch.paired import paired
from pathsearch.rivals import METHODS
from pathsearch.runs import digests_due, environment, saved_report
from pathsearch.sealed import load_sealed, save_sealed
from pathsearch.statistics import correct, mcnemar, over_seeds, spread
from pathsearch.sums import DUE, SUMS, write_sums
from pathsearch.teller import Teller
from pathsearch.threads import choose_threads, keeps_threads, training_work
from pathsearch.tradeoff import FRONTED, equivalence_report, fronts_report, read_front, sizes_of
from pathsearch.verdict import NAMES, comparison_verdict, verdict

NEEDED = ("evolved", "linear_probe")  # the question, and the floor of the fronts
SAVED = ("config.json", "env.json", "report.json")  # what the digests of a finished comparison are of
COSTS = ("images", "path_images", "operations")
DRAWN = ("random_paths", "ladder", "full_grid", "linear_probe")  # they train candidates alone
RATES = ("accuracy", "balanced_accuracy", "auc", "log_likelihood")


@dataclass(frozen=True)
class Comparison:
    """The directory of a comparison: settings before work starts, one whole file a part, the report at the end."""

    folder: FilePath
    without: tuple[str, ...] = ()  # controls that are left out

    @classmethod
    def of(
        cls, runs_dir: FilePath, settings: RunSettings, seeds: int, encoder: Encoder, without: Sequence[str] = ()
    ) -> Comparison:
        """The directory of exactly these settings and methods: the same command finds its finished parts again.

        Raises:
            PathsearchError: fewer than one seed, or something left out that is no control or that all others need.
        """
        if seeds < 1:
            raise PathsearchError(f"--seeds: expected at least 1, got {seeds}; five or more allow a test")
        for method in without:
            if method not in METHODS or method in NEEDED:
                can_go = ", ".join(one for one in METHODS if one not in NEEDED)
                raise PathsearchError(f"--without: expected one of {can_go}, got {method!r}")
        left_out = tuple(method for method in METHODS if method in without)
        about = json.dumps([settings.to_dict(), seeds, encoder.key, *filter(None, [left_out])], sort_keys=True)
        digest = hashlib.sha256(about.encode()).hexdigest()[:8]
        return cls(runs_dir / f"compare-{settings.task}-{settings.split}-{seeds}seeds-{digest}", left_out)

    @property
    def methods(self) -> list[str]:
        """Those that take part, in the report's order."""
        return [method for method in METHODS if method not in self.without]

    @property
    def report_file(self) -> FilePath:
        """Written last."""
        return self.folder / "report.json"

    def part(self, seed: int, method: str) -> FilePath:
        """The file of one method at one seed."""
        return self.folder / "parts" / f"s{seed}-{method}.safetensors"

    @contextmanager
    def claim(self, name: str, wait: bool) -> Iterator[bool]:
        """Hold what only one process may make; False if another holds it. A killed process lets go of its claims.

        Args:
            name: of what is made.
            wait: until the other process has made it, or was killed.
        """
        (self.folder / "parts").mkdir(parents=True, exist_ok=True)
        try:
            held = FileLock(self.folder / "parts" / f"{name}.lock").acquire(timeout=-1 if wait else 0)
        except Timeout:
            yield False
            return
        with held:
            yield True

    @property
    def finished(self) -> bool:
        """Whether report and digests are there; one of an earlier version has a report only."""
        sealed = (self.folder / SUMS).is_file()
        return self.report_file.is_file() and (sealed or not digests_due(self.report_file))

    def save(self, entry: Entry) -> None:
        """Write a finished part, whole."""
        file = self.part(entry.facts["seed"], entry.facts["method"])
        tensors = {"log_p": entry.log_p.contiguous(), **{f"network.{k}": v for k, v in entry.weights.items()}}
        tensors |= {f"front.{i}.{k}": v for i, weights in entry.front.items() for k, v in weights.items()}
        save_sealed(file, file.stem, entry.facts, tensors)

    def load(self, seed: int, method: str) -> Entry | None:
        """A finished part, or None if it is not there.

        Raises:
            PathsearchError: the file is damaged, that of another method or seed, or of an earlier version.
        """
        file = self.part(seed, method)
        if not file.exists():
            return None
        facts, tensors = load_sealed(file, file.stem, "remove it to make it again", "part")
        log_p = tensors.pop("log_p")

        def under(prefix: str) -> dict[str, torch.Tensor]:
            return {name.removeprefix(prefix): own for name, own in tensors.items() if name.startswith(prefix)}

        return Entry(facts, log_p, under("network."), {i: under(f"front.{i}.") for i in facts.get("front", [])})


@keeps_threads()
def compare(
    task: Task,
    encoder: Encoder,
    settings: RunSettings,
    seeds: int,
    comparison: Comparison,
    cache_dir: FilePath,
    device: torch.device,
    tell: Teller,
) -> dict[str, Any]:
    """Let every method run at every seed, then read the test images once, for all of them.

    Args:
        task: prepared data.
        encoder: as the settings say.
        settings: of the evolved path; the controls' follow from them.
        seeds: K; they are `settings.seed` and the K - 1 after it.
        comparison: its directory; parts that are there are not made again.
        cache_dir: of the encoded features.
        device: of the grids.
        tell: progress.

    Returns:
        The report, as written to `report.json`.
    """
    if comparison.finished:
        return _read(comparison)
    with comparison.claim("report", wait=True):  # another process may be writing the digests of these two
        if not comparison.finished:
            config = {**settings.to_dict(), "seeds": seeds, "without": comparison.without}
            write_json(comparison.folder / "config.json", config)
            write_json(comparison.folder / "env.json", environment())
    # 1. features, once; only training and validation labels from here on
    tell.stage("encode", 0)
    features = encode(task, encoder, cache_dir, settings.training.views, tell.count)
    numbers = range(settings.seed, settings.seed + seeds)
    drawn = [features.limited(settings.training.images_per_class, seed) for seed in numbers]
    arenas = [
        Arena(task, encoder.feature_shape, settings, one.train(), one.validation(), device, tell, encoder.taps)
        for one in drawn
    ]
    threads = choose_threads(training_work(arenas[0].grid(0), task.name, settings.training.batch_size), tell)
    # 2. every method at every seed, fixed on validation and on disk before any test image is read; what another
    # process is making is left to it, and awaited at the end
    made: dict[tuple[str, int], Entry] = {}
    for wait in (False, True):
        for arena, seed in zip(arenas, numbers, strict=True):
            for method in [name for name in comparison.methods if (name, seed) not in made]:
                evolved = made.get(("evolved", seed))
                if method != "evolved" and evolved is None:
                    continue  # what the others may spend is not known yet
                tell.stage(f"{method} {seed}", 0)
                with comparison.claim(f"s{seed}-{method}", wait) as ours:
                    if ours:
                        made[method, seed] = _part(comparison, arena, method, seed, evolved)
    entries = {method: [made[method, seed] for seed in numbers] for method in comparison.methods}
    # 3. the test images, once
    with comparison.claim("report", wait=True):
        if comparison.finished:
            return _read(comparison)
        tell.stage("test", 0)
        test = features.test()
        said = {
            method: [rivals.answers(arena, one, test) for arena, one in zip(arenas, several, strict=True)]
            for method, several in entries.items()
        }
        fronts = {
            method: [read_front(arena, one, test) for arena, one in zip(arenas, entries[method], strict=True)]
            for method in FRONTED
            if method in entries
        }
        result = _report(arenas, encoder, entries, said, fronts, test)
        result["threads"] = threads
        result[DUE] = SUMS
        write_json(comparison.report_file, result)
        write_sums(comparison.folder, SAVED)
    return result


def read(folder: FilePath) -> dict[str, Any]:
    """The report of a finished comparison, verified; one of an earlier version has no digests.

    Raises:
        PathsearchError: a file is missing, damaged or changed; names it.
    """
    remedy = "put a copy back, or remove report.json and give the same command again, which keeps all parts"
    return saved_report(folder, SAVED, remedy)


def _read(comparison: Comparison) -> dict[str, Any]:
    """A finished report, its verdict in today's words."""
    found = read(comparison.folder)
    return {**found, "verdict": comparison_verdict(found)}


def _part(comparison: Comparison, arena: Arena, method: str, seed: int, evolved: Entry | None) -> Entry:
    """One method at one seed, from disk if it is there; with what the evolved path spent, once that is known."""
    entry = comparison.load(seed, method)
    if entry is None:
        entry = rivals.enter(arena, method, seed, None if evolved is None else evolved.spent)
        comparison.save(entry)
    return entry


def _report(
    arenas: Sequence[Arena],
    encoder: Encoder,
    entries: dict[str, list[Entry]],
    said: dict[str, list[np.ndarray]],
    fronts: dict[str, list[dict[str, Any]]],
    test: Split,
) -> dict[str, Any]:
    arena = arenas[0]
    methods = {method: _method(arenas, several, said[method], test) for method, several in entries.items()}
    measure = arena.settings.search.fitness
    answers = {
        method: [(p, decide(p, one.facts["threshold"])) for one, p in zip(entries[method], said[method], strict=True)]
        for method in said
    }
    against = {method: _against(methods, answers, method, measure, test) for method in methods if method != "evolved"}
    correct(against)
    fidelity = [one.facts["fidelity"] for one in entries["evolved"] if "fidelity" in one.facts]
    result = {
        "kind": "comparison",
        "task": arena.task.name,
        "split": arena.task.split_name,
        "split_in_words": split_in_words(arena.task, arena.settings.training.images_per_class),
        "encoder": {**encoder.identity, "key": encoder.key},
        "seeds": [one.facts["seed"] for one in entries["evolved"]],
        "measure": measure,
        "intervals": by_what(clusters(test.groups, len(test))),
        "budget": _budget(arena, entries),
        "left_out": [method for method in METHODS if method not in methods],
        "methods": methods,
        "against": against,
        "fronts": fronts_report(fronts, methods, sizes_of(arena.grid(0), arena.task.name)),
        "equivalence": equivalence_report(methods) if "full_grid" in methods else None,
        "rank_fidelity": {"tau": spread([one["tau"] for one in fidelity]), "each": fidelity},
    }
    return {**result, "verdict": verdict(result)}


def _budget(arena: Arena, entries: dict[str, list[Entry]]) -> dict[str, Any]:
    one = arena.settings
    recipes = (
        "; learning rate, weight decay and dropout evolve with the path: random search and random paths draw them as "
        "its first paths do, full grid and probe for each training after their first; PathNet, which trains one grid "
        "for all its paths, and the ladder keep the settings' own"
        if one.search.recipes
        else ""
    )
    spent: list[Budget] = [entry.spent for entry in entries["evolved"]]
    drawn = [entry for method in DRAWN for entry in entries.get(method, [])]
    return {
        "search_images": arena.minibatches * one.search.batch_size,
        "path_images": {"search": [own.search for own in spent], "candidates": [own.last for own in spent]},
        "finalists": one.training.finalists,
        "candidates_without_search": min(len(entry.facts["candidates"]) for entry in drawn),
        "settings": {"search": asdict(one.search), "training": asdict(one.training)},
        "in_words": "same features, last training, threshold rule and selection rule (the smallest within one standard "
        "error of the best on validation) for all; every control gets the path-images that the evolved path spent at "
        "the same seed, an image counted once for every path that trains on it: searches as many as its search, and as "
        "many finalists; methods without a search as many as its search and its finalists, on candidates trained "
        "alone: random paths on other paths, the ladder on its rungs and those again from other initial weights, full "
        "grid and probe from other initial weights; each ends with the generation or training that reaches them; "
        "nearest neighbours choose k. Images count once in a minibatch that several paths share; operations are "
        "multiply-adds of training, backward as two forward" + recipes,
    }


def _method(
    arenas: Sequence[Arena], several: Sequence[Entry], said: Sequence[np.ndarray], test: Split
) -> dict[str, Any]:
    """One method's numbers: each seed's own, mean and spread."""

    def assess(entry: Entry, probabilities: np.ndarray, split: Split) -> dict[str, Any]:
        answers = decide(probabilities, entry.facts["threshold"])
        classes, labels = arenas[0].task.classes, split.labels.numpy()
        return metrics.evaluate(labels, probabilities, classes, answers, groups=split.groups)

    each = []
    for arena, entry, on_test in zip(arenas, several, said, strict=True):
        facts = {key: value for key, value in entry.facts.items() if key not in ("method", "fidelity")}
        on_validation = assess(entry, entry.log_p.double().exp().numpy(), arena.validation)
        each.append({**facts, "validation": on_validation, "test": assess(entry, on_test, test)})
    row: dict[str, Any] = {"name": NAMES[several[0].facts["method"]]}
    row |= {key: spread([one[key] for one in each]) for key in ("parameters", "seconds")}
    for kind in COSTS:
        row[kind] = spread([sum(one[kind][stage] for stage in STAGES) for one in each])
    row["candidates"] = spread([len(one["candidates"]) for one in each])
    for split in ("validation", "test"):
        row[split] = {rate: spread([one[split][rate] for one in each]) for rate in RATES}
        row[split]["n"] = each[0][split]["n"]
    return {**row, "each": each}


def _against(
    methods: dict[str, Any],
    answers: dict[str, list[tuple[np.ndarray, np.ndarray]]],
    method: str,
    measure: str,
    test: Split,
) -> dict[str, Any]:
    """The evolved path against one control: accuracy over seeds, and on the same test images seed by seed."""
    rates = [[one["test"]["accuracy"] or 0.0 for one in methods[name]["each"]] for name in ("evolved", method)]
    labels, pairs = test.labels.numpy(), list(zip(answers["evolved"], answers[method], strict=True))
    each = [mcnemar(own[1] == labels, other[1] == labels) for own, other in pairs]
    by_measure = [paired(measure, labels, own, other, test.groups) for own, other in pairs]
    return {**over_seeds(*rates), "p_holm": None, "mcnemar": each, "paired": by_measure}
