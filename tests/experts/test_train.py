"""`pathsearch train`: a network without a search is a run like any other, on a grid like any other."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import small_world
import torch
from command_world import pathsearch
from dense_world import NAMES, dense_data, dense_task, prepare_discs, train, trained
from small_world import copied, outcome, refused

from data_prep.errors import PathsearchError
from pathsearch.cli.main import app
from pathsearch.encoders import pixels
from pathsearch.encoders.features import Features, encode
from pathsearch.encoders.pixels import make_encoder
from pathsearch.encoders.views import Style
from pathsearch.experts import reporting
from pathsearch.experts.expert import Expert
from pathsearch.experts.heritage import Heritage
from pathsearch.grid.path import Path
from pathsearch.grid.presets import PRESETS, path_of, preset
from pathsearch.grid.vocabulary import blueprint_of
from pathsearch.measures.overlap import counted, dice
from pathsearch.reports.again import evolve_command
from pathsearch.reports.page_other import other_parts
from pathsearch.run.runs import Run
from pathsearch.run.settings import GridSettings
from pathsearch.targets import MaskTarget
from pathsearch.targets.constant_masks import best_constant


def facts(run: Run) -> dict:
    """Of what `outcome` tells, without the log that a training has none of."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_world, "log_rows", lambda run: [])
        return outcome(run)


@pytest.mark.parametrize("blueprint", ["ums-rep", "unet"])
def test_a_preset_learns_masks(blueprint):
    run = trained(blueprint)
    report = run.report()
    assert report["target"] == "mask"
    assert set(report["baselines"]) == {"linear_probe"}
    dice, probe = (one["test"]["mask"]["dice"] for one in (report, report["baselines"]["linear_probe"]))
    assert 0 <= dice <= 1
    assert probe > 0.9, "one grey level tells the discs from what is around them, however few steps the network has"
    assert report["path"] == "|".join("0" * len(Path.parse(report["path"]).layers))
    assert not run.log_file.exists()
    run.verify()
    assert run.settings().path == blueprint


def test_a_network_stands_beside_what_takes_none():
    """The mask of the training images that is best for all; it is in report, verdict, table and page."""
    run = trained()
    report, task, target = run.report(), dense_task(), MaskTarget(NAMES)
    beside = report["without_network"]
    mask, _ = best_constant(target.truth(task, "train"), 1)
    truth = target.truth(task, "test")
    each = dice(counted(mask.expand(len(truth), -1, -1), truth, 1))[:, 0]
    assert beside["test"]["mask"]["dice"] == pytest.approx(each.mean().item())
    assert beside["test"]["n"] == beside["paired"]["n"] == len(truth)
    assert beside["paired"]["own"] == report["test"]["mask"]["dice"]
    (line,) = [line for line in report["verdict"] if "the best constant mask" in line]
    assert f"Dice {beside['paired']['own']:.4f} against {each.mean():.4f}; " in line
    assert [row[0] for row in other_parts(report)["results"].rows] == ["ums-rep", "linear probe", "best constant mask"]


def test_answers_that_are_no_hits_have_no_test_of_hits_and_truth_is_read_once(tmp_path, monkeypatch, capsys):
    """In this process, where it can be watched."""
    reads, original = [], Features.train

    def train_split(self):
        reads.append(1)
        return original(self)

    monkeypatch.setattr(Features, "train", train_split)
    monkeypatch.setattr(reporting, "mcnemar", lambda *right: pytest.fail("tested, and dropped"))
    words = ["train", "--task", "discs", "--blueprint", "ums-rep", *("--set", "training.epochs=1"), "--device", "cpu"]
    app([*words, "--data-dir", str(dense_data()), "--runs-dir", str(tmp_path)], standalone_mode=False)
    assert len(reads) == 1
    told = capsys.readouterr().out
    assert "best constant mask" in told
    assert re.search(r"page .*report.html  \(figures and page took \d+\.\d s", told)


def test_a_taken_name_is_refused_before_anything_is_made(tmp_path, monkeypatch):
    folder = copied(trained(), tmp_path).folder
    monkeypatch.setattr(Heritage, "of", lambda *given: pytest.fail("earlier experts were read"))
    monkeypatch.setattr(pixels, "make_encoder", lambda *given: pytest.fail("an encoder was made"))
    words = ["train", "--task", "discs", "--blueprint", "ums-rep", "--data-dir", str(dense_data())]
    with refused(f"^run {folder} already holds a finished run; see it with"):
        app([*words, "--runs-dir", str(tmp_path)], standalone_mode=False)


def test_a_run_says_the_command_that_makes_it_again():
    run = trained()
    config = json.loads(run.config_file.read_text())
    words = evolve_command(config, run.name)
    assert words.startswith("pathsearch train --task discs --blueprint ums-rep --image-size 32 --set ")
    assert "training.epochs=3" in words
    assert "rmsprop" not in words  # the preset brings it


def test_a_given_path_is_trained(tmp_path):
    done = train(tmp_path, "--path", "1|1|1|1|0|0|0|0+1", "--set", "encoder.name=pixels", "--set", "grid.max_active=2")
    assert done.code == 0, done
    run = Run(tmp_path / "discs-random-s0")
    assert run.report()["path"] == "1|1|1|1|0|0|0|0+1"
    words = evolve_command(json.loads(run.config_file.read_text()), run.name)
    assert "--path '1|1|1|1|0|0|0|0+1'" in words


def test_one_seed_gives_one_run_killed_or_not(tmp_path):
    whole = facts(trained())
    for number, where in enumerate(
        ["pathsearch.training.optimisers:Rates.epoch", "pathsearch.experts.finishing:write_table"], 1
    ):
        folder = tmp_path / str(number)
        assert train(folder, kill=(where, 1)).code == -9
        assert train(folder, "--resume").code == 0
        assert facts(Run(folder / "discs-random-s0")) == whole


# --- on the grid of an earlier run --------------------------------------------------------------------------------


def test_a_second_task_shares_what_the_first_has_learned(tmp_path):
    first = trained()
    runs = first.folder.parent
    done = train(runs, "--grid", first.name, "--run-name", "second", task="sizes")
    assert done.code == 0, done
    report = Run(runs / "second").report()
    assert report["path"] == "0|0|0|0|0"  # four layers down, which are the first's, and the mean that classes read
    assert report["reuse"]["discs"]["modules"] == 4
    assert report["earlier_experts"][0]["logits_identical"]
    old, new = Expert.load(first.expert_file), Expert.load(Run(runs / "second").expert_file)
    for layer in range(4):
        weights = [one.network.network.modules_of(layer)[0].state_dict() for one in (old, new)]
        assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    # a third, of masks again, learns its own way up
    prepare_discs(tmp_path, "more", 45)
    options = ("--grid", "second", "--run-name", "third", "--data-dir", tmp_path)
    done = train(runs, *options, task="more")
    assert done.code == 0, done
    assert Run(runs / "third").report()["path"] == "0|0|0|0|1|1|1|1"
    assert [row["logits_identical"] for row in Run(runs / "third").report()["earlier_experts"]] == [True, True]


def test_a_full_grid_is_said():
    blueprint = blueprint_of({"pixels": (3, 32, 32)}, GridSettings(modules="ums-rep", n_modules=2, max_active=1))
    there = [((i,),) * len(blueprint.layers) for i in (0, 1)]
    assert path_of("ums-rep", blueprint, []) == Path.of([[0]] * len(blueprint.layers))
    with pytest.raises(PathsearchError, match=r"expected a module of layer 'pooled' that no earlier expert has, got 2"):
        path_of("ums-rep", blueprint, there)


# --- mistakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--blueprint", "umsrep"], "--blueprint: expected one of ums-rep, unet; got 'umsrep'; did you mean 'ums-rep'"),
        (["--blueprint", "mixed"], "any path of a blueprint is trained by --path"),
        (["--set", "search.population=8"], "search.population: has no effect on a path that is trained without a"),
        (["--set", "training.finalists=2"], "training.finalists: has no effect on a path that is trained without a"),
        (["--path", "0|0"], "expected 8 layers, got 2"),
        (["--path", "nonsense"], "path: expected a form like"),
        (["--image-size", "40"], "expected sides that are multiples of 16, got 40x40"),
        (["--set", "encoder.name=squeezenet1_1", "--encoder-weights", "random"], "blueprint ums-rep: expected "),
    ],
)
def test_a_mistake_is_one_line(tmp_path, arguments, message):
    done = train(tmp_path, *arguments)
    assert done.code == 2, done
    assert message in done.err
    assert "Traceback" not in done.err


def test_presets_are_paths_of_blueprints():
    for name, one in PRESETS.items():
        assert preset(name) is one
        assert one.words.endswith(".")
        blueprint = blueprint_of({"pixels": (3, 32, 32)}, GridSettings(modules=one.blueprint))
        assert len(path_of(name, blueprint, []).layers) == len(blueprint.layers)


# --- truth moves with the image --------------------------------------------------------------------------------------


def test_views_have_masks_of_their_own():
    task = dense_task()
    settings = trained().settings().encoder
    features = encode(task, make_encoder(settings), dense_data() / "features", n_views=3)
    split = features.train()
    assert len(split.warped) == 2
    positions = torch.arange(len(split))
    for view in (1, 2):
        truth = split.truth_of(positions, torch.full((len(split),), view))
        for i, mask in enumerate(task.masks("train")):
            assert np.array_equal(truth[i].numpy(), Style.of(task, "paper").warp(view, i).mask(mask))
        # the disc is bright, its mask lies on it
        pixels = torch.from_numpy(np.stack([split.views[view][i] for i in range(len(split))]))[:, 0].float()
        inside, outside = pixels[truth == 1].mean(), pixels[truth == 0].mean()
        assert inside > outside + 60
    both = split.joined(features.validation())
    assert torch.equal(both.truth_of(torch.arange(len(both)), torch.zeros(len(both), dtype=torch.int64)), both.truth)
    last = torch.tensor([len(both) - 1])
    assert torch.equal(both.truth_of(last, torch.tensor([2])), both.truth[last])  # validation has no views
    few = split.only(np.array([3, 1]))
    assert torch.equal(
        few.truth_of(torch.tensor([0]), torch.tensor([1])), split.truth_of(torch.tensor([3]), torch.tensor([1]))
    )


def test_images_without_a_mask_count_in_no_loss(tmp_path):
    prepare_discs(tmp_path, "part", 40, blank=10)
    done = train(tmp_path / "runs", "--data-dir", tmp_path, task="part")
    assert done.code == 0, done
    found = Run(tmp_path / "runs" / "part-random-s0").report()
    assert found["test"]["mask"]["without_truth"] == 0


# --- a search of the same space ------------------------------------------------------------------------------------


def test_a_space_of_networks_from_pixels_is_searched(tmp_path):
    small = [
        *("grid.n_modules=2", "grid.max_active=2", "search.steps=1", "search.warmup=1", "search.batch_size=8"),
        *("training.epochs=1", "training.batch_size=8", "training.finalists=2", "training.random_paths=1"),
        *("training.choice_folds=1", "training.refit=false"),
    ]
    given = [word for one in small for word in ("--set", one)]
    where = ("--data-dir", dense_data(), "--runs-dir", tmp_path, "--device", "cpu")
    shape = ("--encoder", "pixels", "--blueprint", "ums-rep", "--population", 4, "--generations", 1)
    done = pathsearch("evolve", "--task", "discs", *shape, *given, *where)
    assert done.code == 0, done
    report = Run(tmp_path / "discs-random-s0").report()
    assert set(report["baselines"]) == {"linear_probe", "random_path", "full_grid"}
    assert report["search"]["paths_visited"] >= 2


def test_an_encoder_without_a_map_is_told_before_it_encodes(tmp_path):
    where = ("--data-dir", dense_data(), "--runs-dir", tmp_path, "--device", "cpu")
    done = pathsearch("evolve", "--task", "discs", "--encoder", "squeezenet1_1", "--encoder-weights", "random", *where)
    assert done.code == 2
    assert "such as --encoder pixels --blueprint unet" in done.err
    assert done.err.startswith("error: target mask")
