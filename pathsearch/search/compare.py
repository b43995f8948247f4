"""Does search pay? The evolved path beside its controls over several seeds: all on validation first, then one test."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from data_prep.manifest import Task
from data_prep.whole_files import write_json
from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.features import encode, split_in_words
from pathsearch.encoders.split import Split
from pathsearch.grid.plugins import load_plugins, named_plugins
from pathsearch.measures.clusters import clusters
from pathsearch.measures.intervals import method as by_what
from pathsearch.measures.statistics import correct, mcnemar, over_seeds, spread
from pathsearch.run.engine import processes_for, run_all
from pathsearch.run.environment import environment
from pathsearch.run.place import Place
from pathsearch.run.runs import threads_of
from pathsearch.run.settings import RunSettings
from pathsearch.run.sums import DUE, SUMS, write_sums
from pathsearch.run.teller import Silent
from pathsearch.run.threads import choose_threads, keeps_threads
from pathsearch.search import rivals
from pathsearch.search.arena import STAGES, Budget, Entry, most
from pathsearch.search.choice import Ballot
from pathsearch.search.comparison import SAVED, Comparison, read
from pathsearch.search.comparison_report import SplitName
from pathsearch.search.rivals import METHODS
from pathsearch.search.tradeoff import FRONTED, equivalence_report, fronts_report, read_front, sizes_of
from pathsearch.search.verdict import NAMES, comparison_verdict, verdict
from pathsearch.targets.target import Said
from pathsearch.training.bench import Bench
from pathsearch.training.cost import PASSES, Meter, training_work

COSTS = ("images", "path_images", "operations")
DRAWN = ("random_paths", "ladder", "full_grid", "linear_probe")  # they train candidates alone


@keeps_threads()
def compare(
    task: Task,
    encoder: Encoder,
    settings: RunSettings,
    seeds: int,
    comparison: Comparison,
    place: Place,
) -> dict[str, Any]:
    """Let every method run at every seed, then read the test images once, for all of them.

    Args:
        task: prepared data.
        encoder: as the settings say.
        settings: of the evolved path; the controls' follow from them.
        seeds: K; they are `settings.seed` and the K - 1 after it.
        comparison: its directory; parts that are there are not made again.
        place: cache, device and progress.

    Returns:
        The report, as written to `report.json`.
    """
    if comparison.finished:
        return _read(comparison)
    env_file = comparison.folder / "env.json"
    with comparison.claim("report", wait=True):  # another process may be writing the digests of these two
        if not comparison.finished:
            config = {**settings.to_dict(), "seeds": seeds, "without": comparison.without}
            write_json(comparison.folder / "config.json", config)
            if not env_file.is_file():  # else it goes on
                write_json(env_file, environment())
    # 1. features, once; only training and validation labels from here on
    tell = place.tell
    tell.stage("encode", 0)
    features = encode(
        task, encoder, place.cache_dir, settings.training.views, tell.count, settings.training.augmentation
    )
    numbers = range(settings.seed, settings.seed + seeds)
    benches = [Bench.of(settings, encoder, features.asked(settings.training, seed), place).at(seed) for seed in numbers]
    cores = torch.get_num_threads()
    work = training_work(benches[0].grid(), task.name, settings.training.batch_size)
    threads = choose_threads(work, tell, threads_of(env_file))
    # 2. every method at every seed, fixed on validation and on disk before any test image is read
    entries = _all_parts(comparison, benches, cores if threads == 1 else 1)
    # 3. the test images, once
    with comparison.claim("report", wait=True):
        if comparison.finished:
            return _read(comparison)
        tell.stage("test", 0)
        test = features.test()
        result = _report(task, encoder, benches, entries, test)
        result["threads"] = threads
        result[DUE] = SUMS
        write_json(comparison.report_file, result)
        write_sums(comparison.folder, SAVED)
    return result


def _read(comparison: Comparison) -> dict[str, Any]:
    """A finished report, its verdict in today's words."""
    found = read(comparison.folder)
    return {**found, "verdict": comparison_verdict(found)}


@dataclass(frozen=True)
class Part:
    """One method at one seed: a value that any process can carry out; it leaves its file."""

    comparison: Comparison
    bench: Bench
    method: str
    budget: Budget | None  # None: of the evolved path, whose own end it is
    wait: bool  # for another process that is making it

    def make(self) -> None:
        """Leave the file, unless it is there, or another process that is not waited for is making it."""
        name = f"s{self.bench.seed}-{self.method}"
        self.bench.tell.stage(f"{self.method} {self.bench.seed}", 0)
        with self.comparison.claim(name, self.wait) as ours:
            if ours and not self.comparison.part(self.bench.seed, self.method).exists():
                self.comparison.save(rivals.enter(self.bench, self.method, self.budget))


def _all_parts(comparison: Comparison, benches: Sequence[Bench], cores: int) -> dict[str, list[Entry]]:
    """Every method's parts, in the order of the seeds: those on disk, and the others made.

    What another process is making is left to it, and awaited at the end. The evolved path comes first: what the others
    may spend is not known before.
    """
    found: dict[tuple[str, int], Entry] = {}

    def make(methods: Sequence[str], wait: bool) -> None:
        missing = [(method, bench) for bench in benches for method in methods if (method, bench.seed) not in found]
        works = []
        for method, bench in missing:
            evolved = found.get(("evolved", bench.seed))
            if comparison.load(bench.seed, method) is None and (method == "evolved" or evolved is not None):
                budget = None if evolved is None else evolved.spent
                works.append(Part(comparison, bench, method, budget, wait))
        _side_by_side(works, cores)
        for method, bench in missing:
            if (entry := comparison.load(bench.seed, method)) is not None:
                found[method, bench.seed] = entry

    for wait in (False, True):
        make(["evolved"], wait)
        make([method for method in comparison.methods if method != "evolved"], wait)
    return {method: [found[method, bench.seed] for bench in benches] for method in comparison.methods}


def _side_by_side(works: Sequence[Part], cores: int) -> None:
    if not works:
        return
    bench = works[0].bench
    grid = bench.grid()
    rungs = grid.rungs(3)
    middle = Meter(grid, bench.task).path(rungs[len(rungs) // 2])  # a path as others are, by size
    processes = processes_for(len(works) * most(bench).total * PASSES * middle, cores, bench.device)
    if processes > 1:
        bench.tell.stage("compare", len(works))
        works = [replace(one, bench=replace(one.bench, tell=Silent())) for one in works]
    prepare = functools.partial(load_plugins, named_plugins(bench.settings.grid.plugins))
    for done, place in enumerate(run_all(Part.make, works, processes, prepare), 1):
        if processes > 1:
            bench.tell.advance(done, f"{works[place].method}, seed {works[place].bench.seed}")


def _report(
    task: Task, encoder: Encoder, benches: Sequence[Bench], entries: dict[str, list[Entry]], test: Split
) -> dict[str, Any]:
    said = {
        method: [rivals.answers(bench, one, test) for bench, one in zip(benches, several, strict=True)]
        for method, several in entries.items()
    }
    fronts = {
        method: [read_front(bench, one, test) for bench, one in zip(benches, entries[method], strict=True)]
        for method in FRONTED
        if method in entries
    }
    bench = benches[0]
    methods = {method: _method(benches, several, said[method], test) for method, several in entries.items()}
    answers = {
        method: [(own, one.facts["threshold"]) for one, own in zip(entries[method], said[method], strict=True)]
        for method in said
    }
    against = {method: _against(bench, methods, answers, method, test) for method in methods if method != "evolved"}
    blind: dict[SplitName, float] = {
        "validation": bench.target.blind(bench.validation.truth),
        "test": bench.target.blind(test.truth),
    }
    correct(against)
    fidelity = [one.facts["fidelity"] for one in entries["evolved"] if "fidelity" in one.facts]
    result = {
        "kind": "comparison",
        "task": task.name,
        "split": task.split_name,
        "split_in_words": split_in_words(task, bench.last.images_per_class),
        "encoder": {**encoder.identity, "key": encoder.key},
        "seeds": [one.facts["seed"] for one in entries["evolved"]],
        "measure": bench.measure,
        "intervals": by_what(clusters(test.groups, len(test))),
        "budget": _budget(bench, entries),
        "left_out": [method for method in METHODS if method not in methods],
        "methods": methods,
        "against": against,
        "fronts": fronts_report(fronts, methods, sizes_of(bench.grid(), task.name), blind),
        "equivalence": equivalence_report(methods) if "full_grid" in methods else None,
        "rank_fidelity": {"tau": spread([one["tau"] for one in fidelity]), "each": fidelity},
    }
    return {**result, "verdict": verdict(result)}


def _budget(bench: Bench, entries: dict[str, list[Entry]]) -> dict[str, Any]:
    one = bench.settings
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
        "search_images": [entry.facts["images"]["search"] for entry in entries["evolved"]],
        "path_images": {"search": [own.search for own in spent], "candidates": [own.last for own in spent]},
        "finalists": one.training.finalists,
        "candidates_without_search": min(len(entry.facts["candidates"]) for entry in drawn),
        "settings": {"search": asdict(one.search), "training": asdict(one.training)},
        "in_words": "same features, last training, threshold rule and selection rule (the smallest within one standard "
        f"error of the best on {Ballot.of(bench).in_words}) for all; every control gets the path-images that the "
        "evolved path spent at the same seed, an image counted once for every path that trains on it: searches those "
        "of its search, and those of its finalists on their own finalists, all of them once and then again from other "
        "initial weights; methods without a search both together, on candidates trained alone: random paths on other "
        "paths, the ladder on its rungs and those again from other initial weights, full grid and probe from other "
        "initial weights; each ends with the generation or training that reaches them; nearest neighbours choose k on "
        "validation. Images count once in a minibatch that several paths share; operations are multiply-adds of "
        "training, backward as two forward" + recipes,
    }


def _method(benches: Sequence[Bench], several: Sequence[Entry], said: Sequence[Said], test: Split) -> dict[str, Any]:
    """One method's numbers: each seed's own, mean and spread."""
    target = benches[0].target

    def assess(entry: Entry, said: Said, split: Split) -> dict[str, Any]:
        return target.assess(said, split.truth, entry.facts["threshold"], split.groups)

    each = []
    for bench, entry, on_test in zip(benches, several, said, strict=True):
        facts = {key: value for key, value in entry.facts.items() if key not in ("method", "fidelity")}
        on_validation = assess(entry, entry.said, bench.validation)
        each.append({**facts, "validation": on_validation, "test": assess(entry, on_test, test)})
    row: dict[str, Any] = {"name": NAMES[several[0].facts["method"]]}
    row |= {key: spread([one[key] for one in each]) for key in ("parameters", "seconds")}
    for kind in COSTS:
        row[kind] = spread([sum(one[kind][stage] for stage in STAGES) for one in each])
    row["candidates"] = spread([len(one["candidates"]) for one in each])
    for split in ("validation", "test"):
        row[split] = {rate: spread([one[split][rate] for one in each]) for rate in target.rates}
        row[split]["n"] = each[0][split]["n"]
    return {**row, "each": each}


def _against(
    bench: Bench,
    methods: dict[str, Any],
    answers: dict[str, list[tuple[Said, float | None]]],
    method: str,
    test: Split,
) -> dict[str, Any]:
    """The evolved path against one control: first measure over seeds, and on the same test images seed by seed."""
    target, first = bench.target, bench.target.measures[0]
    rates = [[one["test"][first] or 0.0 for one in methods[name]["each"]] for name in ("evolved", method)]
    pairs = list(zip(answers["evolved"], answers[method], strict=True))
    row = {**over_seeds(*rates), "p_holm": None}
    if target.all_or_nothing:
        row["mcnemar"] = [
            mcnemar(*(target.quality(said, test.truth, fixed) == 1 for said, fixed in pair)) for pair in pairs
        ]
    return row | {"paired": [target.paired(bench.measure, test.truth, *pair, test.groups) for pair in pairs]}
