"""On the real data, where it is: ImageNet weights, and chest X-rays through the whole flow."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from command_world import pathsearch
from PIL import Image

from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.views import load_images
from pathsearch.run.settings import EncoderSettings

pytestmark = pytest.mark.real
N_IMAGES = 100  # of each class


@pytest.fixture(scope="module")
def shared() -> Path:
    folder = Path(os.environ.get("PATHSEARCH_SHARED", Path(__file__).parents[2] / "shared")) / "data"
    if not (folder / "weights").is_dir():
        pytest.skip(f"no real data in {folder}: set PATHSEARCH_SHARED, or put shared/ beside the checkout")
    return folder


@pytest.fixture(scope="module")
def weights(shared) -> Path:
    return shared / "weights" / "squeezenet1_1_features_imagenet.safetensors"


def test_squeezenet_with_imagenet_weights(weights, shared):
    encoder = Encoder(EncoderSettings("squeezenet1_1", str(weights), image_size=224, map_size=13))
    assert sum(parameter.numel() for parameter in encoder.trunk.parameters()) == 722_496
    assert encoder.feature_shape == (512, 13, 13)
    assert encoder.weights_label.startswith("file squeezenet1_1_features_imagenet.safetensors (sha256 ")
    xray = next((shared / "chest_xray" / "test" / "NORMAL").glob("*.jpeg"))
    maps = encoder(load_images([xray], 224))
    assert torch.isfinite(maps).all()
    assert (maps > 0).float().mean() > 0.05, "trained weights answer to an image"
    at_128 = Encoder(EncoderSettings("squeezenet1_1", str(weights), image_size=128, map_size=13))
    assert at_128.feature_shape == (512, 7, 7)


@pytest.mark.slow
def test_chest_xrays_from_a_folder_to_a_report(weights, shared, tmp_path):
    for kind in ("NORMAL", "PNEUMONIA"):
        (tmp_path / "raw" / kind).mkdir(parents=True)
        for file in sorted((shared / "chest_xray" / "train" / kind).glob("*.jpeg"))[:: 1300 // N_IMAGES][:N_IMAGES]:
            (tmp_path / "raw" / kind / file.name).symlink_to(file)
    where = ["--data-dir", tmp_path / "data"]
    made = pathsearch("prepare", "folder", "--source", tmp_path / "raw", "--name", "xray", "--image-size", 64, *where)
    assert made.code == 0, made
    assert "200 images" in made.out

    where += ["--runs-dir", tmp_path / "runs", "--device", "cpu"]
    quick = ["--population", 16, "--generations", 4, "--set", "training.random_paths=2", "--set", "search.warmup=50"]
    done = pathsearch(
        "evolve", "--task", "xray", "--encoder", "squeezenet1_1", "--encoder-weights", weights, *quick, *where, "--json"
    )
    assert done.code == 0, done
    report = json.loads(done.out)
    assert report["encoder"]["image_size"] == 64, "the task's own size"
    assert report["test"]["n"] == 40
    # 40 images: a standard error of 6 points; larger samples of this task stand at 0.9 and an AUC of 0.95
    assert report["test"]["accuracy"] > 0.7
    assert report["test"]["auc"] > 0.8
    assert 0 < report["parameters"]["share"] < 1
    run_dir = tmp_path / "runs" / "xray-random-s0"
    for name in ("fitness_curve", "training_curve", "path_on_grid", "confusion_test"):
        with Image.open(run_dir / f"{name}.png") as image:
            assert min(image.size) > 200
    joint = pathsearch("joint-eval", *where, "--json")
    assert json.loads(joint.out)["tasks"]["xray"]["oracle"]["accuracy"] == report["test"]["accuracy"]
