"""Installed as the Makefile does it, `import pathsearch` finds the package from wherever a script stands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = "import sys; from setuptools import build_meta; build_meta.build_editable(sys.argv[1])"
USE = (
    "import site, sys; site.addsitedir(sys.argv[1]); import pathsearch, data_prep.manifest\n"
    "print(pathsearch.__file__); pathsearch.load"
)


def python(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Python in a folder, without this checkout on its path."""
    own = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, check=False, timeout=120)


def editable(parent: Path, change=lambda text: text) -> tuple[Path, Path]:
    """A clone named pathsearch under `parent`, and what an editable install of it puts into site-packages."""
    clone, wheels, site = parent / "pathsearch", parent / "wheels", parent / "site"
    wheels.mkdir()
    for package in ("pathsearch", "data_prep"):
        shutil.copytree(ROOT / package, clone / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("README.md", "LICENSE"):
        shutil.copy(ROOT / file, clone)
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (clone / "pyproject.toml").write_text(change(text), encoding="utf-8")
    built = python(clone, "-c", BUILD, wheels)
    assert built.returncode == 0, built.stderr
    (wheel,) = wheels.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    return clone, site


def test_a_script_beside_the_clone_finds_the_package(tmp_path):
    clone, site = editable(tmp_path)
    used = python(tmp_path, "-c", USE, site)
    assert used.returncode == 0, used.stderr
    assert used.stdout.strip() == str(clone / "pathsearch" / "__init__.py")


def test_the_check_sees_a_clone_that_hides_the_package(tmp_path):
    """Without the package's place said outright, setuptools installs an import hook, which comes last."""

    def hook(text: str) -> str:
        changed = re.sub(r"(?m)^package-dir = .*$", "", text)
        assert changed != text
        return changed

    _, site = editable(tmp_path, hook)
    used = python(tmp_path, "-c", USE, site)
    assert "has no attribute 'load'" in used.stderr
