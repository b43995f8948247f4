"""Several tasks or targets trained together: runs like any other, whose shared layers are the same to the bit."""

from __future__ import annotations

import functools
import json
import shutil

import pytest
import torch
from command_world import Finished, pathsearch
from dense_world import QUICK, dense_data, train
from small_world import scratch

from pathsearch.experts.expert import Expert
from pathsearch.grid.grid import common_layers
from pathsearch.run.runs import Run

DOWN = ["down1", "down2", "down3", "down4"]
RUNS = ("discs-random-s0", "discs-class-random-s0", "sizes-random-s0")


def together(runs_dir, *arguments, tasks=("discs", "discs:class", "sizes"), **more) -> Finished:
    """`pathsearch train` of several tasks with quick settings."""
    given = [word for one in QUICK if "n_modules" not in one for word in ("--set", one)]
    given += ["--set", "grid.n_modules=4", "--blueprint", "ums-rep"]
    named = [word for one in tasks for word in ("--task", one)]
    places = ("--data-dir", dense_data(), "--runs-dir", runs_dir, "--device", "cpu")
    return pathsearch("train", *named, *given, *places, *arguments, **more)


@functools.cache
def finished(strategy: str, *more: str):
    folder = scratch() / "together" / "-".join((strategy, *more))
    done = together(folder, "--strategy", strategy, *more)
    assert done.code == 0, done
    return folder


def networks(folder):
    return {name: Expert.load(Run(folder / name).expert_file).network.network for name in RUNS}


def layers_of(network):
    return {
        layer.name: [one.state_dict() for one in network.modules_of(number)]
        for number, layer in enumerate(network.blueprint.layers)
    }


@pytest.mark.parametrize("strategy", ["independent", "alternating", "joint"])
def test_shared_layers_are_one_to_the_bit_and_the_rest_is_each_tasks_own(strategy):
    masks, kinds, sizes = map(layers_of, networks(finished(strategy)).values())
    for name in DOWN:
        for one, other, third in zip(masks[name], kinds[name], sizes[name], strict=True):
            for key, tensor in one.items():
                assert torch.equal(tensor, other[key])
                assert torch.equal(tensor, third[key])
    ours, theirs = kinds["pooled"][0], sizes["pooled"][0]
    assert not any(torch.equal(tensor, theirs[key]) for key, tensor in ours.items() if tensor.any())


@pytest.mark.parametrize("strategy", ["alternating", "joint"])
def test_the_report_says_with_whom_and_what_is_shared(strategy):
    for name in RUNS:
        run = Run(finished(strategy) / name)
        run.verify()
        about = run.report()["together"]
        assert about["strategy"] == strategy
        assert tuple(about["runs"].values()) == RUNS
        assert about["shared_layers"] == DOWN
        assert 0 < about["shared_parameters"] < about["parameters"]
        assert run.report()["earlier_experts"] == []
        assert not list(run.checkpoint_dir.glob("**/*.safetensors"))


def test_strategies_come_to_different_networks():
    joint, alternating = (networks(finished(one))[RUNS[0]] for one in ("joint", "alternating"))
    assert not torch.equal(joint.head.state_dict()["weight"], alternating.head.state_dict()["weight"])
    assert common_layers([joint, alternating]) == []


def test_a_later_task_stands_on_the_layers_of_all(tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(finished("joint"), runs)
    more = ("--set", "grid.n_modules=4", "--grid", RUNS[0])
    done = train(runs, *more, task="discs:image", blueprint="ums-rep")
    # QUICK says another number of modules; the last one counts
    assert done.code == 2
    done = together(runs, "--grid", RUNS[0], tasks=("discs:image",))
    assert done.code == 0, done
    report = Run(runs / "discs-image-random-s0").report()
    assert sorted(one["run"] for one in report["earlier_experts"]) == sorted(RUNS)
    assert all(one["logits_identical"] for one in report["earlier_experts"])


def test_joint_begins_from_a_grid_and_leaves_its_expert_alone(tmp_path):
    first = together(tmp_path, tasks=("discs:image",))
    assert first.code == 0, first
    file = Run(tmp_path / "discs-image-random-s0").expert_file
    before = file.read_bytes()
    done = together(tmp_path, "--strategy", "joint", "--grid", "discs-image-random-s0", tasks=("discs", "discs:class"))
    assert done.code == 0, done
    assert file.read_bytes() == before
    report = Run(tmp_path / "discs-random-s0").report()
    assert report["together"]["begun_from"] == [{"task": "discs:image", "run": "discs-image-random-s0", "layers": DOWN}]
    old = layers_of(Expert.load(file).network.network)["down1"]
    new = layers_of(Expert.load(Run(tmp_path / "discs-random-s0").expert_file).network.network)["down1"]
    assert not torch.equal(
        old[0]["0.weight"] if "0.weight" in old[0] else next(iter(old[0].values())),
        new[0]["0.weight"] if "0.weight" in new[0] else next(iter(new[0].values())),
    )


@pytest.mark.parametrize("weights", ["learned", "1:0.5:2"])
def test_losses_are_weighed(weights):
    folder = finished("joint", "--set", f"together.loss_weights={weights}")
    about = Run(folder / RUNS[0]).report()["together"]
    assert about["loss_weights"] == weights
    assert len(about.get("learned_weights", {})) == (3 if weights == "learned" else 0)
    assert all(0 < one != 1 for one in about.get("learned_weights", {}).values())
    plain = networks(finished("joint"))[RUNS[0]].head.state_dict()["weight"]
    assert not torch.equal(networks(folder)[RUNS[0]].head.state_dict()["weight"], plain)


@pytest.mark.parametrize(
    "where",
    [
        ("pathsearch.training.optimisers:Rates.epoch", 2),
        ("pathsearch.experts.together:_probe", 2),
        ("pathsearch.experts.finishing:write_json", 3),  # the second's path
        ("pathsearch.experts.finishing:forget_trainings", 2),
    ],
)
def test_one_seed_gives_the_same_runs_killed_or_not(tmp_path, where):
    assert together(tmp_path, "--strategy", "joint", kill=where).code == -9
    done = together(tmp_path, "--strategy", "joint", "--resume")
    assert done.code == 0, done
    for name in RUNS:
        ours, theirs = (
            json.loads((folder / name / "report.json").read_text()) for folder in (tmp_path, finished("joint"))
        )
        assert ours["test"] == theirs["test"]
        assert (tmp_path / name / "expert.safetensors").read_bytes() == (
            finished("joint") / name / "expert.safetensors"
        ).read_bytes()


@functools.cache
def interrupted():
    """Of three runs two are finished; the third, which keeps what they were trained to, is not."""
    folder = scratch() / "together" / "interrupted"
    kill = ("pathsearch.experts.finishing:forget_trainings", 2)
    assert together(folder, "--strategy", "joint", kill=kill).code == -9
    assert [Run(folder / name).finished for name in RUNS] == [False, True, True]
    return folder


def test_a_resumed_training_leaves_finished_partners_alone(tmp_path):
    runs = shutil.copytree(interrupted(), tmp_path / "runs")
    assert together(runs, "--strategy", "joint", "--resume").code == 0
    for name in RUNS:
        Run(runs / name).verify()
        assert not list(Run(runs / name).checkpoint_dir.glob("training-*"))


def test_tasks_in_another_order_are_another_training(tmp_path):
    runs = shutil.copytree(interrupted(), tmp_path / "runs")
    done = together(runs, "--strategy", "joint", "--resume", tasks=("sizes", "discs", "discs:class"))
    assert done.code == 2
    assert "tasks was ['discs', 'discs:class', 'sizes'], now ['sizes', 'discs', 'discs:class']" in done.err


def test_a_finished_partner_of_other_weights_is_refused(tmp_path):
    runs = shutil.copytree(finished("joint"), tmp_path / "runs")
    first, last = Run(runs / RUNS[0]), Run(runs / RUNS[2])
    first.sums_file.unlink()  # its training is gone, too, and is repeated
    expert = Expert.load(last.expert_file)
    with torch.no_grad():
        next(expert.network.parameters()).add_(1)
    expert.save(last.expert_file)
    last.seal()
    done = together(runs, "--strategy", "joint", "--resume")
    assert done.code == 2
    assert (
        "run sizes-random-s0: expected an expert of the same weights as the training together, got others" in done.err
    )


def test_a_partner_that_was_made_again_alone_is_named_before_anything_is_trained(tmp_path):
    runs = shutil.copytree(finished("joint"), tmp_path / "runs")
    assert together(runs, "--overwrite", tasks=("sizes",)).code == 0
    for strategy in ("independent", "joint"):
        tasks = ("discs:image",) if strategy == "independent" else ("discs:image", "sizes:image")
        done = together(runs, "--grid", RUNS[0], "--strategy", strategy, tasks=tasks)
        assert done.code == 2
        assert "expected experts of one grid, got those of" in done.err
        assert "report this" not in done.err


def test_what_is_taken_is_refused_before_the_first_task_trains(tmp_path):
    runs = shutil.copytree(finished("joint"), tmp_path / "runs")
    shutil.rmtree(runs / RUNS[0])
    done = together(runs, tasks=("discs", "sizes"))
    assert (done.code, (runs / RUNS[0]).exists()) == (2, False)
    assert "sizes-random-s0 already holds a finished run" in done.err


def test_overwriting_clears_no_run_while_another_is_at_work_in_a_partner(tmp_path):
    runs = shutil.copytree(finished("joint"), tmp_path / "runs")
    with Run(runs / RUNS[2]).alone():
        done = together(runs, "--strategy", "joint", "--overwrite")
    assert (done.code, "another process is at work" in done.err) == (2, True)
    for name in RUNS:
        Run(runs / name).verify()


def test_a_finished_run_on_layers_that_were_made_again_is_none_to_show(tmp_path):
    runs = shutil.copytree(finished("independent"), tmp_path / "runs")
    again = ("--overwrite", "--set", "training.learning_rate=0.002")
    assert together(runs, *again, tasks=("discs",)).code == 0
    done = together(runs, "--resume", "--grid", RUNS[0], tasks=("discs:class",))
    assert done.code == 2
    assert "run discs-class-random-s0: was grown from another expert than run discs-random-s0 has now" in done.err


def test_what_cannot_be_trained_together_is_one_line(tmp_path):
    for arguments, tasks, told in (
        (("--strategy", "joint"), ("discs",), "--strategy joint: expected several tasks, got one"),
        (("--strategy", "joint"), ("discs", "discs"), "--task discs: is named twice"),
        (("--strategy", "joint", "--set", "together.loss_weights=1:2:3"), ("discs", "sizes"), "expected 2 numbers"),
        (("--set", "together.turns=1:2"), ("discs", "sizes"), "together.turns: 1:2 has no effect"),
        (("--strategy", "joint", "--path", "0|0"), ("discs", "sizes"), "--path 0|0: expected one --task, got 2"),
        (("--strategy", "joint", "--set", "together.loss_weights=a"), ("discs", "sizes"), "loss_weights: expected"),
    ):
        done = together(tmp_path, *arguments, tasks=tasks)
        assert (done.code, "Traceback" in done.err) == (2, False), done
        assert told in done.err
    assert not list(tmp_path.iterdir())


def test_own_layers_begin_as_an_earlier_expert_left_them(tmp_path):
    assert together(tmp_path, tasks=("discs:image",)).code == 0
    begun = ("--grid", "discs-image-random-s0", "--set", "training.begin=earlier", "--set", "training.learning_rate=0")
    done = together(tmp_path, *begun, tasks=("discs",))
    assert done.code == 0, done
    alone = together(tmp_path, *begun, "--strategy", "joint", "--run-name", "j", tasks=("discs", "discs:class"))
    assert alone.code == 0, alone
    images = layers_of(Expert.load(Run(tmp_path / "discs-image-random-s0").expert_file).network.network)
    for name in ("discs-random-s0", "j-discs"):
        masks = layers_of(Expert.load(Run(tmp_path / name).expert_file).network.network)
        assert images.keys() == masks.keys()
        for layer, modules in images.items():
            for key, tensor in modules[0].items():
                assert torch.equal(tensor, masks[layer][0][key]), (layer, key)


def test_there_must_be_an_earlier_grid_to_begin_from(tmp_path):
    done = together(tmp_path, "--set", "training.begin=earlier", tasks=("discs",))
    assert done.code == 2
    assert "training.begin: earlier has no effect, since there is no earlier grid; give --grid RUN" in done.err
