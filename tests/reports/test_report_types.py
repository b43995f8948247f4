"""The type check knows the fields of reports: a misspelt one fails it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READS = """\
from pathsearch.experts.joint_report import JointReport
from pathsearch.experts.run_report import PathCard, RunReport
from pathsearch.search.comparison_report import ComparisonReport


def read(run: RunReport, joint: JointReport, comparison: ComparisonReport, card: PathCard) -> None:
    run["test"]["ci95"]["accuracy"]
    run["test"]["ci95"]["acuracy"]
    run["baselines"]["full_grid"]["test"]["auc"]
    run["baselines"]["full_grid"]["test"]["auc95"]
    joint["tasks"]["a"]["routed"]["unknown"]
    joint["tasks"]["a"]["routed"]["unkown"]
    comparison["methods"]["evolved"]["test"]["accuracy"]["mean"]
    comparison["methods"]["evolved"]["test"]["accuracy"]["average"]
    card["module_parameters"]
    card["modules_parameters"]
"""
# Other libraries are as good as unknown here, which makes the check quick.
SKIPPED = "".join(
    f"[mypy-{name}.*]\nfollow_imports = skip\nignore_missing_imports = true\n"
    for name in ("torch", "numpy", "scipy", "sklearn", "pandas", "safetensors", "PIL", "filelock", "deap")
)


def test_a_misspelt_field_fails_the_type_check(tmp_path):
    pytest.importorskip("mypy")
    file, config = tmp_path / "reads.py", tmp_path / "mypy.ini"
    file.write_text(READS)
    config.write_text(f"[mypy]\nfollow_imports = silent\ncache_dir = {tmp_path / 'cache'}\n{SKIPPED}")
    command = [sys.executable, "-m", "mypy", "--config-file", str(config), str(file)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    faults = {int(line): words for line, words in re.findall(r"reads\.py:(\d+): error: (.*)", said)}
    assert set(faults) == {8, 10, 12, 14, 16}, said
    assert all("has no key" in words for words in faults.values()), said
