"""Bundles as commands and in Python."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch
from bundles import TASKS, written
from command_world import pathsearch
from safetensors.torch import load_file
from small_world import CPU, ENCODER, SIZE, data_dir, encoder, finished, full_model, runs_dir

from pathsearch.encoders.frozen import digest, frozen
from pathsearch.experts import bundle
from pathsearch.experts.pictures import Preparation

# --- as commands and in Python --------------------------------------------------------------------------------------


def test_bundle_as_a_command(tmp_path):
    for name in TASKS:
        finished(name)
    out = tmp_path / "model"
    where = ["--runs-dir", runs_dir(), "--data-dir", data_dir()]
    done = pathsearch("bundle", *TASKS, "--out", out, *where, "--json")
    assert done.code == 0, done
    assert json.loads(done.out)["folder"] == str(out)
    assert bundle.load(out, CPU).preparation == Preparation((SIZE,), grey=True)
    again = pathsearch("bundle", *TASKS, "--out", out, *where)
    assert again.code == 2
    assert again.err.startswith("error: --out model: expected a new folder")


def test_load_is_lazy_and_loads():
    code = (
        "import sys, pathsearch\n"
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)\n"
        "print(sorted(pathsearch.load(sys.argv[1]).model.experts))"
    )
    arguments = [sys.executable, "-W", "error", "-c", code, str(written())]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert (done.stdout, done.stderr) == ("['blobs', 'stripes']\n", "")


def test_state_is_the_whole_trunk():
    state = encoder().state()
    assert {name.partition(".")[0] for name in state} == {"features"}
    model = full_model(ENCODER.name)
    model.load_state_dict(state, strict=False)
    assert digest(frozen(model.features)) == encoder().weights_sha256
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items() if name in state)
    assert load_file(written() / "encoder.safetensors").keys() == state.keys()
