"""Reports written by hand, small and with round numbers: what `pathsearch results` reads, without a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_prep.whole_files import write_json
from pathsearch.encoders.pixels import PIXELS
from pathsearch.grid.presets import PRESETS
from pathsearch.run.settings import EncoderSettings, GridSettings, RunSettings, TrainingSettings

ENCODER = {"name": "vgg16", "weights": "random (He, seed 0)", "image_size": 64, "key": "aaaa", "map_size": 4}
FROM_PIXELS = {"name": PIXELS, "weights": "no weights", "image_size": 64, "key": "cccc", "map_size": 4}
FILE = "file trunk.safetensors (sha256 0123456789ab)"
SPLITS = {
    "random": "random stratified split of beats, 60/20/20, so beats of one patient stand in training and test",
    "official": "official test split",
    "ds1-ds2": "split by record after de Chazal 2004",
}


def tested(classes: list[str], confusion: list[list[int]]) -> dict[str, Any]:
    """Rates from a confusion table, by plain arithmetic; intervals are 0.01 to either side."""
    images = [sum(row) for row in confusion]
    recalls = {name: confusion[k][k] / images[k] for k, name in enumerate(classes)}
    recall = sum(recalls.values()) / len(recalls)
    accuracy = sum(confusion[k][k] for k in range(len(classes))) / sum(images)
    rates = {"accuracy": accuracy, "balanced_accuracy": recall, "recall": recall, "auc": 0.9}
    about = {"n": sum(images), "classes": classes, "columns": classes, "confusion": confusion}
    ci95 = {name: [value - 0.01, value + 0.01] for name, value in rates.items()}
    return {**about, **rates, "recall_per_class": recalls, "ci95": ci95, "log_likelihood": -0.1}


def run_report(
    task: str, split: str, classes: list[str], confusion: list[list[int]], seed: int = 0, **changes: Any
) -> dict[str, Any]:
    """The report of a run; each baseline has one more image of the first class right, then one less."""
    better = [[confusion[0][0] + 1, confusion[0][1] - 1, *confusion[0][2:]], *confusion[1:]]
    worse = [[confusion[0][0] - 1, confusion[0][1] + 1, *confusion[0][2:]], *confusion[1:]]
    return {
        "task": task,
        "split": split,
        "split_in_words": SPLITS[split],
        "data": "d1-d2",
        "encoder": ENCODER,
        "seed": seed,
        "views": "1 a training image",
        "refit": "on training and validation images together, after path, epochs and threshold were fixed",
        "threshold": {"rule": "argmax", "value": None},
        "path": "1|2+3|4",
        "parameters": {"expert": 1000 + seed, "full_grid": 20000, "share": (1000 + seed) / 20000},
        "validation": tested(classes, confusion),
        "test": tested(classes, confusion),
        "baselines": {
            "linear_probe": {"parameters": 10, "test": tested(classes, worse)},
            "random_path": {"parameters": 1200.0, "test": {"n": 1, "accuracy": 0.5, "accuracy_sd": 0.1}, "each": []},
            "full_grid": {"parameters": 20000, "test": tested(classes, better)},
        },
        "mistakes": {"count": 1, "shown": [{"file": "images/patient-7.png"}]},
        **changes,
    }


def measured(target: str, values: dict[str, float | None], n: int = 60, **undefined: int) -> dict[str, Any]:
    """A report's `test` of another target than classes: n images; intervals are 0.01 to either side."""
    ci95 = {name: None if value is None else [value - 0.01, value + 0.01] for name, value in values.items()}
    return {"n": n, target: {"n": n, **values, "ci95": ci95, "undefined": undefined, "loss": 0.1}}


def other_report(target: str, test: dict[str, Any], seed: int = 0, **changes: Any) -> dict[str, Any]:
    """The report of a given network from pixels, `ums-rep`, on a task that asks for no class; its probe has a half."""
    first = next(iter(test[target]["ci95"]))
    return {
        **run_report("lungs", "official", ["a", "b"], [[3, 1], [1, 3]], seed),
        "target": target,
        "measure": first,
        "intervals": {"method": "bootstrap over images", "groups": None, "in_words": "by image"},
        "encoder": FROM_PIXELS,
        "given": "ums-rep",
        "validation": test,
        "test": test,
        "baselines": {"linear_probe": {"parameters": 4, "test": measured(target, {first: 0.5})}},
        "shown": {"worst": [{"file": "images/patient-7.png", "value": 0.1}]},
        "against_size": {"measure": first, "n": 60, "size": [0.1], "value": [0.9]},
        **changes,
    }


def config_of(report: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The settings of a run, in full."""
    encoder = report["encoder"]
    weights = "/home/me/weights/trunk.safetensors" if encoder["weights"].startswith("file") else "random"
    given = report.get("given", "")
    grid = GridSettings(modules=PRESETS[given].blueprint, max_active=1) if given else GridSettings()
    settings = RunSettings(
        report["task"],
        report["split"],
        report["seed"],
        EncoderSettings(encoder["name"], weights, encoder["image_size"], encoder["map_size"]),
        grid,
        training=TrainingSettings(threshold=report["threshold"]["rule"]),
        data=report["data"],
        path=given,
    )
    return {**settings.to_dict(), **changes}


def write_run(folder: Path, report: dict[str, Any], **settings: Any) -> Path:
    """A run's files in a folder."""
    write_json(folder / "report.json", report)
    write_json(folder / "config.json", config_of(report, **settings))
    write_json(folder / "env.json", {"system": "Linux-6.1-of-this-machine", "libraries": {"torch": "2.9.9"}})
    return folder


def ecg(seed: int = 0, right: int = 90, **changes: Any) -> dict[str, Any]:
    """A run on A, L, R: 100 beats of A, of which `right` are; 50 of 50 others each."""
    confusion = [[right, 100 - right, 0], [0, 50, 0], [0, 0, 50]]
    return run_report("ecg", "random", ["A", "L", "R"], confusion, seed, **changes)


def pneumonia(seed: int = 0, **changes: Any) -> dict[str, Any]:
    """A run on the official split with weights from a file: 14 of 20 and 27 of 30 right."""
    encoder = {**ENCODER, "name": "squeezenet1_1", "weights": FILE, "image_size": 224, "key": "bbbb"}
    confusion = [[14, 6], [3, 27]]
    words = {"encoder": encoder, "threshold": {"rule": "sensitivity:0.95", "value": 0.7}}
    return run_report("pneumonia", "official", ["NORMAL", "PNEUMONIA"], confusion, seed, **{**words, **changes})


def joint_report(runs: dict[str, dict[str, Any]], names: dict[str, str]) -> dict[str, Any]:
    """The joint evaluation of runs: one image a task is unknown that its own expert has right."""
    tasks = {}
    for task, report in runs.items():
        oracle, routed = report["test"], {**report["test"], "unknown": 1}
        routed["accuracy"] = (routed["accuracy"] * routed["n"] - 1) / routed["n"]
        tasks[task] = {"routed": routed, "oracle": oracle, "lost_by_routing": {"images": 1, "of_them_unknown": 1}}
    n = sum(report["test"]["n"] for report in runs.values())
    rates = {"accuracy": 0.9, "recall": 0.8, "auc": 0.95, "ci95": {"accuracy": [0.85, 0.95]}}
    return {
        "overall": {"n": n, **rates, "oracle_accuracy": 0.92},
        "tasks": tasks,
        "routing": {"accuracy": 1.0, "unknown": len(runs), "n": n, "ci95": {"accuracy": [0.98, 1.0]}},
        "runs": names,
        "splits": {task: report["split_in_words"] for task, report in runs.items()},
        "encoder": next(iter(runs.values()))["encoder"],
        "seed": 0,
        "false_rejection_on_validation": 0.01,
    }


def comparison_report() -> dict[str, Any]:
    """Two methods over two seeds; each of several has validation in full, which evidence need not keep."""
    rate = {"mean": 0.9, "sd": 0.01, "each": [0.89, 0.91]}
    rates = {"n": 50, "accuracy": rate, "balanced_accuracy": rate, "auc": {"mean": 0.95, "sd": None, "each": [0.95]}}
    each = [{"seed": 0, "candidates": [1, 2]}]
    each[0] |= {split: tested(["a", "b"], [[9, 1], [2, 8]]) for split in ("validation", "test")}
    method = {
        "parameters": {"mean": 1500.5, "sd": 2.0, "each": []},
        "seconds": {"mean": 61.0, "sd": None, "each": []},
        "validation": rates,
        "test": rates,
        "each": each,
    }
    return {
        "kind": "comparison",
        "task": "ecg",
        "split": "random",
        "split_in_words": SPLITS["random"],
        "encoder": ENCODER,
        "seeds": [0, 1],
        "budget": {"in_words": "the same for all"},
        "methods": {"evolved": {"name": "evolved path", **method}, "ladder": {"name": "ladder", **method}},
        "against": {
            "ladder": {"difference": 0.0, "p": None, "p_holm": None, "mcnemar": [{"b": 2, "c": 1, "p": 1.0}] * 2}
        },
        "rank_fidelity": {
            "tau": {"mean": 0.45, "sd": 0.07, "each": [0.4, 0.5]},
            "each": [{"n": 12, "tau": 0.4}, {"n": 11, "tau": 0.5}],
        },
        "verdict": ["The evolved path does not beat the ladder on test: words of an earlier version."],
    }


def write_all(evidence_dir: Path) -> Path:
    """Evidence of every kind, in four directories of runs."""
    for seed, right in enumerate((90, 92, 94)):
        write_run(evidence_dir / f"ecg-random-s{seed}", ecg(seed, right))
    write_run(evidence_dir / "trunk" / "pneumonia-official-s0", pneumonia())
    write_run(evidence_dir / "trunk" / "ecg-random-s0", ecg(encoder=pneumonia()["encoder"]))
    confusion = [[80, 10, 10, 0], [5, 15, 0, 0], [2, 0, 18, 0], [3, 0, 1, 1]]
    beats = run_report("ecg", "ds1-ds2", ["N", "S", "V", "F"], confusion)
    write_run(evidence_dir / "aami" / "ecg-ds1-ds2-s0", beats)
    lesions = run_report("skin|mole", "random", ["<b>", "c"], [[30, 10], [10, 30]], views="4 a training image: flips")
    write_run(evidence_dir / "skin" / "mole-random-s0", lesions)
    both = {"ecg": ecg(encoder=pneumonia()["encoder"]), "pneumonia": pneumonia()}
    names = {"ecg": "ecg-random-s0", "pneumonia": "pneumonia-official-s0"}
    write_json(evidence_dir / "trunk" / "joint-ecg+pneumonia" / "report.json", joint_report(both, names))
    compared = comparison_report()
    write_json(evidence_dir / "compare-ecg" / "report.json", compared)
    settings = config_of({**ecg(), "encoder": ENCODER})
    settings["search"]["generations"] = 7
    write_json(evidence_dir / "compare-ecg" / "config.json", {**settings, "seeds": 2})
    return evidence_dir
