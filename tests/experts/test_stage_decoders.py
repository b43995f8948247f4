"""Decoders on a frozen encoder's stages at their own sizes: trained, tested, bundled and asked like any network."""

from __future__ import annotations

import math

import pytest
import torch
from command_world import pathsearch
from dense_world import dense_data, dense_task, train

from pathsearch.experts.expert import Expert
from pathsearch.run.runs import Run

STAGES = ("--encoder", "squeezenet1_1", "--encoder-weights", "random", "--set", "encoder.sizes=own")
THREE = (*STAGES, "--set", "encoder.taps=3", "--set", "encoder.stages=3")
SHAPES = {"stage1": [256, 3, 3], "stage2": [128, 7, 7], "stage3": [64, 15, 15]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Masks by a U-Net on three stages, and classes on its grid."""
    folder = tmp_path_factory.mktemp("runs")
    for task, more in (("discs", ()), ("sizes", ("--grid", "discs-random-s0"))):
        done = train(folder, *THREE, *more, task=task, blueprint="unet")
        assert done.code == 0, done
    return folder


def test_masks_are_learned_beside_a_probe_of_all_stages(runs):
    report = Run(runs / "discs-random-s0").report()
    assert report["path"] == "0|0", "one layer up for each larger stage, and none down"
    # a linear map at each stage's positions: channels and a bias each
    assert report["baselines"]["linear_probe"]["parameters"] == 256 + 128 + 64 + 3
    expert = Expert.load(Run(runs / "discs-random-s0").expert_file)
    assert expert.facts.wiring["places"] == [list(one) for one in SHAPES.items()]
    assert expert.facts.encoder["stages"] == 3
    assert "mask" in report["test"]


def test_a_class_is_read_from_the_smallest(runs):
    report = Run(runs / "sizes-random-s0").report()
    assert report["path"] == "0"
    assert report["earlier_experts"][0]["logits_identical"]


def test_both_answer_from_one_bundle(runs, tmp_path):
    where = ("--data-dir", dense_data(), "--runs-dir", runs)
    made = pathsearch("bundle", "discs-random-s0", "sizes-random-s0", "--out", tmp_path / "model", *where)
    assert made.code == 0, made
    card = (tmp_path / "model" / "MODEL_CARD.md").read_text()
    assert "maps of the last 3 stages of its first 3 at their own sizes; SHA-256" in card
    assert " numbers, of stages at their own sizes" in (runs / "discs-random-s0" / "report.html").read_text()
    files = dense_task().files()[:2]
    told = pathsearch("predict", tmp_path / "model", *files, "--out", tmp_path / "answers", "--task", "discs")
    assert told.code == 0, told
    assert len(list((tmp_path / "answers").rglob("*.png"))) == 2


def test_a_way_up_without_skips_and_one_stage(tmp_path):
    done = train(tmp_path, *STAGES, "--set", "encoder.stages=2")
    assert done.code == 0, done
    assert Run(tmp_path / "discs-random-s0").report()["path"] == "0"


def test_the_probe_alone_is_kept_with_its_places(tmp_path):
    done = train(tmp_path, *THREE, "--path", "probe", blueprint="unet")
    assert done.code == 0, done
    expert = Expert.load(Run(tmp_path / "discs-random-s0").expert_file)
    assert expert.facts.wiring == {"places": [list(one) for one in SHAPES.items()], "layers": []}
    maps = torch.randn(2, sum(map(math.prod, SHAPES.values())))
    assert expert(maps).shape == (2, 1, 15, 15)


def test_an_encoder_without_sizes_is_told_how(tmp_path):
    done = train(tmp_path, "--encoder", "squeezenet1_1", "--encoder-weights", "random", blueprint="unet")
    assert done.code == 2
    assert "give --encoder pixels, or --set encoder.sizes=own" in done.err
