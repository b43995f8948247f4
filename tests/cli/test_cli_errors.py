"""What a failing command says: one line that names the file or the remedy, and whose mistake it was."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import SafetensorError
from small_world import data_dir

from data_prep.errors import BadData
from pathsearch.cli.errors import CLASH, explain

ROOT = Path(__file__).parents[2]
FULL = "the disk is full; make room, then give the same command again"


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (BadData("a.png: expected\nan image"), "a.png: expected an image", 2),
        (OSError(errno.ENOSPC, "No space left on device", "runs/x/log.csv"), f"runs/x/log.csv: {FULL}", 2),
        (
            SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
            f"Error while serializing: I/O error: No space left on device (os error 28): {FULL}",
            2,
        ),
        (PermissionError(errno.EACCES, "Permission denied", "runs"), "runs: Permission denied", 2),
        (OSError("no route to host"), "no route to host", 2),
        (ModuleNotFoundError("No module named 'onnx'"), "No module named 'onnx'", 2),
        (KeyError("x"), "unexpected KeyError: 'x'; --traceback shows where", 1),
    ],
)
def test_one_line_and_whose_mistake(error, line, code):
    assert explain(error) == (line, code)


@pytest.mark.parametrize("command", ["evolve", "doctor"])
def test_a_torchvision_of_another_torch_is_explained(tmp_path, command):
    """As `pip install torch` alone leaves it: importing torchvision fails with words that help nobody."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(f"raise RuntimeError({CLASH!r})")
    words = [
        sys.executable,
        "-m",
        "pathsearch.cli",
        command,
        "--data-dir",
        data_dir(),
        "--runs-dir",
        tmp_path / "runs",
    ]
    words += ["--task", "blobs"] if command == "evolve" else []
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        list(map(str, words)), env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    assert done.returncode == (2 if command == "evolve" else 1), done.stderr
    assert "do not fit each other" in done.stdout + done.stderr
    assert "in a fresh virtual environment: pip install torch torchvision" in done.stdout + done.stderr
    assert done.stderr.count("\n") == (1 if command == "evolve" else 0), done.stderr
    assert not (tmp_path / "runs").exists()
