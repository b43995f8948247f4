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
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from data_prep.errors import PathsearchError
from data_prep.manifest import Task
from data_prep.whole_files import appears_whole, write_json
from pathsearch import metrics, rivals
from pathsearch.config import RunSettings
from pathsearch.decision import decide
from pathsearch.encoder import Encoder
from pathsearch.features import Split, encode, split_in_words
from pathsearch.rivals import METHODS, Arena, Entry
from pathsearch.runs import environment, read_json
from pathsearch.statistics import FEWEST_SEEDS, SURE, holm, mcnemar, over_seeds
from pathsearch.teller import Teller

NAMES = {
    "evolved": "evolved path",
    "random_search": "random search",
    "pathnet": "sequential PathNet",
    "random_paths": "random paths",
    "ladder": "ladder",
    "full_grid": "full grid",
    "linear_probe": "linear probe",
    "nearest": "nearest neighbours",
}
RATES = ("accuracy", "balanced_accuracy", "auc", "log_likelihood")


@dataclass(frozen=True)
class Comparison:
    """The directory of a comparison: settings before work starts, one whole file a part, the report at the end."""

    folder: FilePath

    @classmethod
    def of(cls, runs_dir: FilePath, settings: RunSettings, seeds: int, encoder: Encoder) -> Comparison:
        """The directory of exactly these settings: the same command finds its finished parts again.

        Raises:
            PathsearchError: fewer than one seed.
        """
        if seeds < 1:
            raise PathsearchError(f"--seeds: expected at least 1, got {seeds}; five or more allow a test")
        about = json.dumps([settings.to_dict(), seeds, encoder.key], sort_keys=True)
        digest = hashlib.sha256(about.encode()).hexdigest()[:8]
        return cls(runs_dir / f"compare-{settings.task}-{settings.split}-{seeds}seeds-{digest}")

    @property
    def report_file(self) -> FilePath:
        """Written last."""
        return self.folder / "report.json"

    def part(self, seed: int, method: str) -> FilePath:
        """The file of one method at one seed."""
        return self.folder / "parts" / f"s{seed}-{method}.safetensors"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes out while the block runs; a killed process leaves no lock behind."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / ".lock", timeout=0):
                yield
        except Timeout:
            raise PathsearchError(f"{self.folder}: another process compares the same; wait for it") from None

    def save(self, entry: Entry) -> None:
        """Write a finished part, whole."""
        file = self.part(entry.facts["seed"], entry.facts["method"])
        tensors = {"log_p": entry.log_p.contiguous(), **{f"network.{k}": v for k, v in entry.weights.items()}}
        with appears_whole(file) as aside:
            save_file(tensors, aside, metadata={"part": json.dumps(entry.facts)})

    def load(self, seed: int, method: str) -> Entry | None:
        """A finished part, or None if it is not there.

        Raises:
            PathsearchError: the file is damaged.
        """
        file = self.part(seed, method)
        if not file.exists():
            return None
        try:
            with safe_open(file, "pt") as opened:
                facts = json.loads(opened.metadata()["part"])
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            log_p = tensors.pop("log_p")
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise PathsearchError(f"part {file}: cannot be read ({error}); remove it to make it again") from None
        return Entry(facts, log_p, {name.removeprefix("network."): tensor for name, tensor in tensors.items()})


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
        seeds: K; the seeds are 0 to K - 1, whatever `settings.seed` says.
        comparison: its directory; parts that are there are not made again.
        cache_dir: of the encoded features.
        device: of the grids.
        tell: progress.

    Returns:
        The report, as written to `report.json`.
    """
    if comparison.report_file.is_file():
        return read_json(comparison.report_file)
    write_json(comparison.folder / "config.json", {**settings.to_dict(), "seeds": seeds})
    write_json(comparison.folder / "env.json", environment())
    # 1. features, once; only training and validation labels from here on
    tell.stage("encode", 0)
    features = encode(task, encoder, cache_dir, settings.training.views, tell.count)
    drawn = [features.limited(settings.training.images_per_class, seed) for seed in range(seeds)]
    arenas = [
        Arena(task, encoder.feature_shape, settings, one.train(), one.validation(), device, tell, encoder.taps)
        for one in drawn
    ]
    # 2. every method at every seed, fixed on validation and on disk before any test image is read
    entries: dict[str, list[Entry]] = {method: [] for method in METHODS}
    for seed, arena in enumerate(arenas):
        for method in METHODS:
            tell.stage(f"{method} {seed}", 0)
            entry = comparison.load(seed, method)
            if entry is None:
                entry = rivals.enter(arena, method, seed)
                comparison.save(entry)
            entries[method].append(entry)
    # 3. the test images, once
    tell.stage("test", 0)
    test = features.test()
    said = {
        method: [rivals.answers(arena, one, test) for arena, one in zip(arenas, several, strict=True)]
        for method, several in entries.items()
    }
    result = _report(arenas, encoder, entries, said, test)
    write_json(comparison.report_file, result)
    return result


def _report(
    arenas: Sequence[Arena],
    encoder: Encoder,
    entries: dict[str, list[Entry]],
    said: dict[str, list[np.ndarray]],
    test: Split,
) -> dict[str, Any]:
    arena = arenas[0]
    methods = {method: _method(arenas, several, said[method], test) for method, several in entries.items()}
    right = {
        method: [_right(*pair, test) for pair in zip(entries[method], said[method], strict=True)] for method in said
    }
    against = {method: _against(methods, right, method) for method in methods if method != "evolved"}
    tested = [method for method, row in against.items() if row["p"] is not None]
    for method, p in zip(tested, holm([against[method]["p"] for method in tested]), strict=True):
        against[method]["p_holm"] = p
    fidelity = [one.facts["fidelity"] for one in entries["evolved"] if "fidelity" in one.facts]
    result = {
        "kind": "comparison",
        "task": arena.task.name,
        "split": arena.task.split_name,
        "split_in_words": split_in_words(arena.task, arena.settings.training.images_per_class),
        "encoder": {**encoder.identity, "key": encoder.key},
        "seeds": list(range(len(entries["evolved"]))),
        "budget": _budget(arena),
        "methods": methods,
        "against": against,
        "rank_fidelity": {"tau": _spread([one["tau"] for one in fidelity]), "each": fidelity},
    }
    return {**result, "verdict": verdict(result)}


def _budget(arena: Arena) -> dict[str, Any]:
    one = arena.settings
    return {
        "search_images": arena.minibatches * one.search.batch_size,
        "finalists": one.training.finalists,
        "candidates_without_search": arena.candidates,
        "settings": {"search": asdict(one.search), "training": asdict(one.training)},
        "in_words": "same features, last training, threshold rule and selection rule (the smallest within one standard "
        "error of the best on validation) for all; searches see the same number of training images, PathNet's dealt "
        "out to its paths in turn; methods without a search train that many more candidates: random paths and the "
        "ladder other paths, full grid and probe from other initial weights; nearest neighbours choose k",
    }


def _right(entry: Entry, probabilities: np.ndarray, test: Split) -> np.ndarray:
    return np.asarray(decide(probabilities, entry.facts["threshold"]) == test.labels.numpy())


def _method(
    arenas: Sequence[Arena], several: Sequence[Entry], said: Sequence[np.ndarray], test: Split
) -> dict[str, Any]:
    """One method's numbers: each seed's own, mean and spread."""

    def assess(entry: Entry, probabilities: np.ndarray, split: Split) -> dict[str, Any]:
        answers = decide(probabilities, entry.facts["threshold"])
        return metrics.evaluate(split.labels.numpy(), probabilities, arenas[0].task.classes, answers)

    each = []
    for arena, entry, on_test in zip(arenas, several, said, strict=True):
        facts = {key: value for key, value in entry.facts.items() if key not in ("method", "fidelity")}
        on_validation = assess(entry, entry.log_p.double().exp().numpy(), arena.validation)
        each.append({**facts, "validation": on_validation, "test": assess(entry, on_test, test)})
    row: dict[str, Any] = {"name": NAMES[several[0].facts["method"]]}
    row |= {key: _spread([one[key] for one in each]) for key in ("parameters", "seconds")}
    row["images"] = _spread([sum(one["images"].values()) for one in each])
    for split in ("validation", "test"):
        row[split] = {rate: _spread([one[split][rate] for one in each]) for rate in RATES}
        row[split]["n"] = each[0][split]["n"]
    return {**row, "each": each}


def _spread(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean and standard deviation over seeds of what is known; None where nothing is, or one seed has no spread."""
    known = [value for value in values if value is not None]
    return {
        "mean": float(np.mean(known)) if known else None,
        "sd": float(np.std(known, ddof=1)) if len(known) > 1 else None,
        "each": list(values),
    }


def _against(methods: dict[str, Any], right: dict[str, list[np.ndarray]], method: str) -> dict[str, Any]:
    """The evolved path against one control: over seeds, and on the same test images seed by seed."""
    rates = [[one["test"]["accuracy"] or 0.0 for one in methods[name]["each"]] for name in ("evolved", method)]
    each = [mcnemar(own, other) for own, other in zip(right["evolved"], right[method], strict=True)]
    return {**over_seeds(*rates), "p_holm": None, "mcnemar": each}


def verdict(report: dict[str, Any]) -> list[str]:
    """Plain sentences: which controls the evolved path beats on test, and whether fitness ranks paths truly."""
    own, seeds, lines = report["methods"]["evolved"]["test"]["accuracy"], len(report["seeds"]), []
    if own["mean"] is None:
        return ["There are no test images: nothing was compared on test."]
    for method, row in report["against"].items():
        other = report["methods"][method]["test"]["accuracy"]
        sure = row["p_holm"] is not None and row["p_holm"] < SURE
        relation = "does not beat" if row["difference"] <= 0 else "is above, but not beyond the luck of seeds,"
        if sure:
            relation = "beats" if row["difference"] > 0 else "is worse than"
        images = sum(one["p"] < SURE and one["b"] > one["c"] for one in row["mcnemar"])
        worse = sum(one["p"] < SURE and one["b"] < one["c"] for one in row["mcnemar"])
        test = (
            f"paired t-test p = {row['p_holm']:.2g} after Holm" if row["p_holm"] is not None else "no test over seeds"
        )
        it = f"the {NAMES[method]}" if method in ("ladder", "full_grid", "linear_probe") else NAMES[method]
        lines.append(
            f"The evolved path {relation} {it} on test: {_words(own)} against {_words(other)} ({test}); "
            f"McNemar's test favours it on {images} of {seeds} seeds, the other on {worse}."
        )
    if seeds < FEWEST_SEEDS:
        lines.append(f"{seeds} seeds are too few for a test over seeds; {FEWEST_SEEDS} or more allow one.")
    tau = report["rank_fidelity"]["tau"]
    if tau["mean"] is not None:
        lines.append(
            f"Search fitness ranks paths as their own training does with Kendall's tau {_words(tau, 2)} (1: the same "
            f"order, 0: none), over {SAMPLE_WORDS}."
        )
    return lines


SAMPLE_WORDS = f"{rivals.SAMPLE} visited paths a seed at most"


def _words(rate: dict[str, Any], digits: int = 4) -> str:
    return f"{rate['mean']:.{digits}f}" + (f" ± {rate['sd']:.{digits}f}" if rate["sd"] is not None else "")
