"""Figures from small fake run directories: written, legible, deterministic, and honest about bad input."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from figure_checks import LONG, outside
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Circle, FancyBboxPatch

from data_prep.errors import PathsearchError
from pathsearch.measures.metrics import evaluate
from pathsearch.measures.reliability import calibration
from pathsearch.reports import figures
from pathsearch.reports.figure_paths import LOOKS, paths_on_grid
from pathsearch.reports.figure_style import COLUMN, canvas, save, styled
from pathsearch.reports.figures import plot_joint, plot_run

RUN = ["fitness_curve", "training_curve", "path_on_grid", "paths", "confusion_validation", "confusion_test"]
RUN += ["baselines", "finalists", "reliability"]
JOINT = ["confusion_joint", "routing", "joint_accuracy", "reuse", "rejection"]
EPOCH = "epoch,train_loss,train_accuracy,val_loss,val_accuracy"


def answers(classes: Sequence[str], n: int = 30, unknown: bool = False) -> dict[str, Any]:
    rng, k = np.random.default_rng(0), len(classes)
    labels = np.repeat(np.arange(k), n)
    p = np.exp(rng.normal(size=(len(labels), k)) + 2 * np.eye(k)[labels])
    predictions = p.argmax(axis=1)
    predictions[:2] = -1 if unknown else predictions[:2]
    return evaluate(labels, p / p.sum(axis=1, keepdims=True), classes, predictions)


def write_run(folder: Path, classes: Sequence[str] = ("A", "L", "R"), task: str = "ecg", n_layers: int = 3):
    folder.mkdir(parents=True, exist_ok=True)
    x = np.arange(1, 7)
    log = {name: 0.9 - 0.5 / x + shift for name, shift in zip(
        ("worst", "q25", "median", "mean", "q75", "best"), (0, 0.02, 0.03, 0.03, 0.05, 0.06), strict=True
    )}  # fmt: skip
    pd.DataFrame({"generation": x - 1, **log, "distinct_paths": 9 - x}).to_csv(folder / "log.csv", index=False)
    curve = {
        "train_loss": 1 / x,
        "train_accuracy": 1 - 0.5 / x,
        "val_loss": 1.1 / x,
        "val_accuracy": 1 - 0.6 / x,
    }
    pd.DataFrame({"epoch": x, **curve}).to_csv(folder / "training.csv", index=False)
    kinds = ["conv3x3-16", "separable-dilated5x5-32", "skip"]
    path = {
        "task": task,
        "classes": list(classes),
        "path": "|".join(["0+2"] * n_layers),
        "layers": [[0, 2]] * n_layers,
        "modules": [kinds] * n_layers,
        "module_parameters": [[400, 900, 0]] * n_layers,
        "paths": {"the eldest of them all": [[1]] * n_layers, "second": [[0, 1]] * n_layers, task: [[0, 2]] * n_layers},
        "frozen": [[1]] + [[]] * (n_layers - 1),
        "parameters": 12_345,
        "full_grid_parameters": 2_000_000,
    }
    (folder / "path.json").write_text(json.dumps(path))
    metrics = answers(classes)
    labels = np.arange(40) % len(classes)
    p = np.where(np.eye(len(classes))[(labels * 7) // 8], 0.8, 0.2 / (len(classes) - 1))
    accuracies = ((0.95, 40_000, False), (0.945, 9_000, True), (0.93, 5_000, False))
    report = {
        "task": task,
        "split": "random",
        "encoder": {"name": "vgg16", "weights": "imagenet", "image_size": 64},
        "path": "0|0|0",
        "validation": metrics,
        "test": metrics,
        "baselines": {
            "linear_probe": {"test": metrics, "parameters": 1539},
            "random_path": {"test": {"accuracy": 0.8, "accuracy_sd": 0.02}},
            "full_grid": {"test": metrics},
        },
        "finalists": [
            {"path": "0", "parameters": p, "validation_accuracy": a, "standard_error": 0.01, "chosen": c}
            for a, p, c in accuracies
        ],
        "parameters": {"expert": 12_345, "full_grid": 2_000_000},
        "calibration": calibration((labels, p), (labels, p)),
    }
    (folder / "report.json").write_text(json.dumps(report))


def write_joint(folder: Path):
    folder.mkdir(parents=True, exist_ok=True)
    classes = {"ecg": ["A", "L"], "pneumonia": ["NORMAL", "PNEUMONIA"]}
    rows = [f"{task}: {name}" for task, names in classes.items() for name in names]
    overall = answers(rows, unknown=True)
    report = {
        "overall": overall,
        "tasks": {task: {"routed": answers(c, unknown=True), "oracle": answers(c)} for task, c in classes.items()},
        "routing": {
            "accuracy": 0.9,
            "unknown": 2,
            "tasks": list(classes),
            "confusion": [[57, 1, 2], [0, 60, 0]],
        },
        "confusion": {"rows": rows, "columns": overall["columns"], "counts": overall["confusion"]},
        "reuse": {
            "tasks": list(classes),
            "owners": [*classes, "others"],
            "parameters": [[41_200, 0, 0], [12_000, 1_300_000, 17]],
            "modules": [[5, 0, 0], [2, 1, 1]],
        },
        "calibration": {
            "ecg": {
                "n_test": 300,
                "promised": [0.005, 0.01, 0.1],
                "observed": [0.0, 0.02, 0.3],
                "ci95": [[0.0, 0.01], [0.01, 0.04], [0.25, 0.35]],
            },
            "pneumonia": None,
        },
    }
    (folder / "report.json").write_text(json.dumps(report))


def edit(file: Path, change: dict[str, Any]):
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ecg")
    write_run(folder)
    plot_run(folder)
    return folder


@pytest.fixture(scope="module")
def joint_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("joint")
    write_joint(folder)
    plot_joint(folder)
    return folder


def test_every_figure_in_both_forms_and_nothing_else(run_dir: Path, joint_dir: Path):
    for folder, names in ((run_dir, RUN), (joint_dir, JOINT)):
        found = {file.name for file in folder.iterdir() if file.suffix in (".png", ".svg")}
        assert found == {f"{name}{suffix}" for name in names for suffix in (".png", ".svg")}
        assert not list(folder.glob(".*"))  # no part files


def test_a_figure_is_laid_out_once_for_both_forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls, execute = [], ConstrainedLayoutEngine.execute
    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", lambda *given: calls.append(execute(*given)))
    figure = canvas(COLUMN, 2)
    figure.subplots().set_ylabel("share")
    assert len(save(figure, tmp_path / "one")) == 2
    assert len(calls) == 1


def test_same_bytes_again_whatever_the_users_settings(run_dir: Path, monkeypatch: pytest.MonkeyPatch):
    from matplotlib import rcParams

    before = {file: file.read_bytes() for file in run_dir.iterdir()}
    monkeypatch.setitem(rcParams, "font.size", 20)
    monkeypatch.setitem(rcParams, "axes.grid", True)
    files = plot_run(run_dir)
    assert [file.name for file in files] == [f"{name}.{kind}" for name in RUN for kind in ("png", "svg")]
    assert {file: file.read_bytes() for file in run_dir.iterdir()} == before
    assert rcParams["font.size"] == 20  # and they are given back


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("fitness_curve", ["Generation", "Validation accuracy (%)", "Distinct", "best", "middle half"]),
        ("training_curve", ["Epoch", "Accuracy (%)", "Loss (nats per image)", "training", "validation"]),
        ("path_on_grid", ["encoder", "Layer 3", "0  conv3x3-16", "head", "frozen", "12.3k", "without param"]),
        (
            "confusion_test",
            ["True class", "Predicted class", ">A<", ">R<", "n = 90", "random split", "vgg16"],
        ),
        ("confusion_validation", ["validation, n = 90"]),
        (
            "baselines",
            ["Evolved path", "Linear probe", "Random paths", "Full grid", "Test accuracy", "80.0", "1.54k"],
        ),
        ("finalists", ["Parameters", "Validation accuracy (%)", "best − 1 SE", "chosen", ">10k<"]),
    ],
)
def test_words_of_a_run_are_text(run_dir: Path, name: str, texts: list[str]):
    svg = (run_dir / f"{name}.svg").read_text(encoding="utf-8")
    assert [text for text in texts if text not in svg] == []
    assert "dc:date" not in svg


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("confusion_joint", ["ecg: A", "pneumonia: NORMAL", "unknown", "n = 120"]),
        ("routing", ["True task", "Routed to", "pneumonia", "57", "95.0 %", "unknown"]),
        ("joint_accuracy", ["Test accuracy (%)", "routed", "true task given", "overall"]),
    ],
)
def test_words_of_a_joint_evaluation_are_text(joint_dir: Path, name: str, texts: list[str]):
    svg = (joint_dir / f"{name}.svg").read_text(encoding="utf-8")
    assert [text for text in texts if text not in svg] == []


def test_the_check_for_clipping_sees_clipping():
    figure = Figure(figsize=(1, 1))
    figure.text(0.9, 0.5, "beyond the edge")
    assert outside(figure) > 0.1


@pytest.mark.parametrize("n_layers", [1, 3, 6])
def test_many_classes_and_long_names_stay_inside(tmp_path: Path, n_layers: int):
    write_run(tmp_path, LONG, task="dermatology of everything that skin may have", n_layers=n_layers)
    with styled():
        for name, source, draw in figures.RUN_FIGURES:
            if name not in RUN:  # of other targets, see test_figure_answers
                continue
            figure = draw(tmp_path / source)
            assert figure is not None
            assert outside(figure) < 0.01, name


def test_joint_stays_inside(joint_dir: Path):
    with styled():
        for name, source, draw in figures.JOINT_FIGURES:
            figure = draw(joint_dir / source)
            assert figure is not None
            assert outside(figure) < 0.01, name


def test_finalists_of_a_report_say_which_are_near_the_best(tmp_path: Path):
    write_run(tmp_path)
    rows = json.loads((tmp_path / "report.json").read_text())["finalists"]
    new = [
        {**row, "score": row["validation_accuracy"] - 0.3, "below_best": 0.95 - row["validation_accuracy"],
         "below_best_error": 0.02} for row in rows
    ]  # fmt: skip
    edit(tmp_path / "report.json", {"finalists": new, "measure": "balanced_accuracy"})
    with styled():
        figure = figures.finalists(tmp_path / "report.json")
    (axes,) = figure.axes
    assert axes.get_ylabel().startswith("Validation balanced accuracy (%)")
    assert axes.lines[0].get_ydata()[0] == pytest.approx(65.0)  # the best itself, which the bars must reach


def test_absent_files_and_sections_are_skipped(tmp_path: Path):
    assert plot_run(tmp_path) == plot_joint(tmp_path) == []
    write_run(tmp_path)
    (tmp_path / "log.csv").unlink()
    edit(
        tmp_path / "report.json",
        {"baselines": {}, "finalists": [], "calibration": {}, "test": evaluate([], np.zeros((0, 2)), "ab")},
    )
    edit(tmp_path / "path.json", {"paths": {"ecg": [[0, 2]] * 3}})  # alone on its grid
    names = {file.stem for file in plot_run(tmp_path)}
    assert names == {"training_curve", "path_on_grid", "confusion_validation"}
    write_joint(tmp_path)
    edit(tmp_path / "report.json", {"reuse": None, "calibration": {"ecg": None}})
    assert {"reuse", "rejection"}.isdisjoint(file.stem for file in plot_joint(tmp_path))


def test_a_probe_is_led_around_the_grid_and_a_short_path_ends_where_it_does(tmp_path: Path):
    write_run(tmp_path)
    own = {"ecg": [[0, 2]] * 3, "probe": [[], [], []], "short": [[1], [], []]}
    edit(tmp_path / "path.json", {"paths": own})
    with styled():
        figure = paths_on_grid(tmp_path / "path.json")
    (axes,) = figure.axes
    boxes = [one.get_bbox() for one in axes.patches if isinstance(one, FancyBboxPatch)]
    modules = [one for one in boxes if boxes[0].x1 < one.x0 and one.x1 < boxes[-1].x0]
    assert len(modules) == 9
    colours = {task: LOOKS[place][0] for place, task in enumerate(own)}
    threads = {task: [line for line in axes.lines if line.get_color() == colour] for task, colour in colours.items()}
    for line in threads["probe"]:
        assert not any(line.get_path().intersects_bbox(one, filled=False) for one in modules)
    assert len([one for one in axes.patches if isinstance(one, Circle)]) == 3 + 0 + 1, "one sum a layer with modules"


def test_edges_of_the_numbers(tmp_path: Path):
    write_run(tmp_path)
    for name in ("log.csv", "training.csv"):  # one row
        file = tmp_path / name
        file.write_text("\n".join(file.read_text().splitlines()[:2]) + "\n")
    only = [{"path": "2", "parameters": 0, "validation_accuracy": 1.0, "standard_error": 0.0, "chosen": True}]
    others = {"random_path": {"test": {"accuracy": 1.0, "accuracy_sd": None}}}
    edit(tmp_path / "report.json", {"finalists": only, "baselines": others})
    assert len(plot_run(tmp_path)) == 2 * (len(RUN) - 1), "one finalist is no choice"


def test_no_folder(tmp_path: Path):
    with pytest.raises(PathsearchError, match=r"run directory: expected a folder, got .*nowhere"):
        plot_run(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("log.csv", "generation,best\n0,0.5\n", "fitness_curve needs, got no entry 'mean'"),
        ("log.csv", "", "fitness_curve needs, got No columns"),
        ("training.csv", f"{EPOCH}\n", "got no rows"),
        ("training.csv", f"{EPOCH}\n1,,1,1,1\n", "empty or infinite train_l"),
        ("training.csv", f"{EPOCH}\n1,x,1,1,1\n", "could not convert"),
        ("report.json", "{", "confusion_validation needs, got Expecting property name"),
        ("report.json", "[1]", "a JSON list instead of an object"),
        ("report.json", '{"task": "ecg"}', "got no entry 'validation'"),
    ],
)
def test_malformed_files_are_named(tmp_path: Path, name: str, text: str, fault: str):
    (tmp_path / name).write_text(text)
    with pytest.raises(PathsearchError, match=fault) as caught:
        plot_run(tmp_path)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"layers": [[0], [1]]}, "differ in their number of layers"),
        ({"layers": [[0], [1], [7]]}, r"modules \[7\] in layer 3 of 3 modules"),
        ({"module_parameters": [[1, 2]] * 3}, r"2 module_parameters in layer 1 of 3 modules"),
        ({"modules": 3}, "got "),
    ],
)
def test_malformed_path(tmp_path: Path, change: dict[str, Any], fault: str):
    write_run(tmp_path)
    edit(tmp_path / "path.json", change)
    with pytest.raises(PathsearchError, match=fault):
        plot_run(tmp_path)


def test_confusion_that_does_not_fit_its_names(tmp_path: Path):
    write_joint(tmp_path)
    edit(tmp_path / "report.json", {"routing": {"tasks": ["ecg", "pneumonia"], "confusion": [[1, 0], [0, 1]]}})
    with pytest.raises(PathsearchError, match=r"routing needs, got a confusion of shape \[2, 2\] for 2 rows and 3 col"):
        plot_joint(tmp_path)
