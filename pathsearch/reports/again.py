"""The command that makes a run again, told from its settings."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

from pathsearch.run.settings import EncoderSettings, GridSettings, SearchSettings, TrainingSettings

SECTIONS = {
    "encoder": EncoderSettings,
    "grid": GridSettings,
    "search": SearchSettings,
    "training": TrainingSettings,
}
# Settings with an option of their own; all others are given with --set.
OPTIONS = {
    "encoder": {"name": "--encoder", "weights": "--encoder-weights", "image_size": "--image-size"},
    "grid": {"modules": "--modules"},
    "search": {key: f"--{key}" for key in ("population", "generations", "preset", "weights", "fitness")}
    | {key: f"--{key}" for key in ("target", "plateau")},
    "training": {"views": "--views", "threshold": "--threshold"},
}
COMPARE_OPTIONS = {  # of `pathsearch compare`, which has fewer
    "encoder": OPTIONS["encoder"],
    "training": OPTIONS["training"],
}
ALWAYS = {("encoder", "name"), ("encoder", "weights"), ("encoder", "image_size")}  # defaults that depend on the task


def weights_name(weights: str) -> str:
    """`imagenet`, `random`, or a weights file's name without its folder, which is nobody else's business."""
    return PurePath(weights).name


def evolve_command(config: Mapping[str, Any], run_name: str) -> str:
    """`pathsearch evolve …` for the settings of a `config.json`, unusual settings only; files by name."""
    words = ["pathsearch", "evolve", "--task", config["task"], *_settings(config, OPTIONS)]
    if config.get("grown_from"):
        words += ["--grid", config["grown_from"]]
    words += ["--seed", str(config["seed"])]
    if run_name != f"{config['task']}-{config['split']}-s{config['seed']}":
        words += ["--run-name", run_name]
    return shlex.join(words)


def compare_command(config: Mapping[str, Any]) -> str:
    """`pathsearch compare …` for the `config.json` of a comparison."""
    words = ["pathsearch", "compare", "--task", config["task"], "--seeds", _plain(config["seeds"])]
    if config["seed"]:
        words += ["--seed", str(config["seed"])]
    for method in config.get("without", ()):
        words += ["--without", method]
    return shlex.join([*words, *_settings(config, COMPARE_OPTIONS)])


def joint_command(report: Mapping[str, Any]) -> str:
    """`pathsearch joint-eval …` for the report of a joint evaluation."""
    words = ["pathsearch", "joint-eval", *report["runs"].values()]
    rate = report.get("false_rejection_on_validation", 0.01)
    if rate != 0.01:
        words += ["--false-rejection", _plain(rate)]
    return shlex.join([*words, "--seed", str(report["seed"])])


def _settings(config: Mapping[str, Any], options: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Unusual settings as words, those without an option of their own with `--set`."""
    words = []
    for section, kind in SECTIONS.items():
        defaults, own = asdict(kind()), options.get(section, {})
        for key, value in config.get(section, {}).items():
            if (section, key) == ("grid", "plugins"):
                words += [word for one in value for word in ("--plugin", one.partition("=")[0])]
                continue
            if (section, key) == ("training", "random_paths") and options is COMPARE_OPTIONS:  # has no effect there
                continue
            if value == defaults.get(key) and (section, key) not in ALWAYS:
                continue
            text = weights_name(value) if (section, key) == ("encoder", "weights") else value
            if (section, key) == ("search", "pareto") and options is OPTIONS:
                words.append("--pareto")
            elif key in own and value is not None:
                words += [own[key], _plain(text)]
            else:
                words += ["--set", f"{section}.{key}={_plain(text)}"]
    return words


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
