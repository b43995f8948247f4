"""The command that makes a run again, told from its settings."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from data_prep.table_words import as_file_name
from pathsearch.encoders.pixels import PIXELS
from pathsearch.grid.presets import PRESETS
from pathsearch.run.settings import DECLARED, SECTIONS, WITH_OPTIONS

ALWAYS = {
    "encoder.name",
    "encoder.weights",
    "encoder.image_size",
}  # asked first; the size may be the task's


def weights_name(weights: str) -> str:
    """`imagenet`, `random`, or a weights file's name without its folder, which is nobody else's business."""
    return PurePath(weights).name


def evolve_command(config: Mapping[str, Any], run_name: str) -> str:
    """`pathsearch evolve …` or `train …` for the settings of a `config.json`, unusual ones only; files by name."""
    partners: Mapping[str, str] = config.get("partners") or {}
    tasks = [word for task in partners or [config["task"]] for word in ("--task", task)]
    if config.get("path"):
        words = ["pathsearch", "train", *tasks, *_given(config)]
    else:
        words = ["pathsearch", "evolve", *tasks, *_settings(config, "evolve")]
    if start := config.get("grown_from") or config.get("begun_from"):
        words += ["--grid", start]
    words += ["--seed", str(config["seed"])]
    end = as_file_name(config["task"])
    if run_name != f"{end}-{config['split']}-s{config['seed']}":
        words += ["--run-name", run_name.removesuffix(f"-{end}") if partners else run_name]
    return shlex.join(words)


def compare_command(config: Mapping[str, Any]) -> str:
    """`pathsearch compare …` for the `config.json` of a comparison."""
    words = ["pathsearch", "compare", "--task", config["task"], "--seeds", _plain(config["seeds"])]
    if config["seed"]:
        words += ["--seed", str(config["seed"])]
    for method in config.get("without", ()):
        words += ["--without", method]
    return shlex.join([*words, *_settings(config, "compare")])


def joint_command(report: Mapping[str, Any]) -> str:
    """`pathsearch joint-eval …` for the report of a joint evaluation."""
    words = ["pathsearch", "joint-eval", *report["runs"].values()]
    rate = report.get("false_rejection_on_validation", 0.01)
    if rate != 0.01:
        words += ["--false-rejection", _plain(rate)]
    return shlex.join([*words, "--seed", str(report["seed"])])


def _given(config: Mapping[str, Any]) -> list[str]:
    """What `train` is told: a preset and what differs from its settings, or a path and its blueprint."""
    path, blueprint = config["path"], config["grid"]["modules"]
    name = path if path in PRESETS else blueprint
    words = ["--blueprint", name, *([] if path in PRESETS else ["--path", path])]
    if name not in PRESETS:
        return [*words, *_settings(config, "train", {"grid.modules": name})]
    return [*words, *_settings(config, "train", {**PRESETS[name].settings, "grid.modules": blueprint})]


def _settings(config: Mapping[str, Any], command: str, brought: Mapping[str, Any] | None = None) -> list[str]:
    """Unusual settings as words, those without an option of their own in this command with `--set`.

    `brought` are those that a preset has by itself.
    """
    words, usual = [], brought or {}
    for section in SECTIONS:
        for name, value in config.get(section, {}).items():
            if (one := DECLARED.get(f"{section}.{name}")) is None:  # of another version
                words += ["--set", f"{section}.{name}={_plain(value)}"]
                continue
            if one.said.apart:
                words += [word for part in value for word in (one.said.option, part.partition("=")[0])]
                continue
            if one.key == "training.random_paths" and command == "compare":  # has no effect there
                continue
            if value == usual.get(one.key, one.default) and (one.key in usual or one.key not in ALWAYS):
                continue
            if one.key == "encoder.weights" and config["encoder"]["name"] == PIXELS:  # which have none
                continue
            text = weights_name(value) if one.key == "encoder.weights" else value
            own = one.said.option if section in WITH_OPTIONS[command] else ""
            if own and one.kind is bool:
                words.append(own if value else f"--no-{own.removeprefix('--')}")
            elif own and value is not None:
                words += [own, _plain(text)]
            else:
                words += ["--set", f"{one.key}={_plain(text)}"]
    return words


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
