"""A grid that grows: four tasks one after another, what each reuses, and that none is forgotten."""

from __future__ import annotations

import copy
import functools
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_world import data_dir, encoder, evolve, place, prepare, scratch, settings, task

from pathsearch.encoders.features import encode
from pathsearch.experts import joint
from pathsearch.experts.expert import Expert, file_sha256
from pathsearch.experts.reuse import matrix, of_run, owners, reused, together_in_words
from pathsearch.reports.figures import plot_joint, plot_run
from pathsearch.run.runs import Run

CHAIN = ("first", "second", "third", "fourth")
DRAWN = {"first": ("stripes", 90), "second": ("blobs", 80), "third": ("stripes", 84), "fourth": ("blobs", 90)}
SIZES = [[10, 20, 0], [5, 6, 7]]


# --- counting -------------------------------------------------------------------------------------------------------


def test_golden_values():
    # layer 1: a trains 0 (10), b uses it and trains 1 (20), 2 has no weights; layer 2: a 0 (5), b 1 (6), c both
    paths = {"a": ((0, 2), (0,)), "b": ((0, 1, 2), (1,)), "c": ((1, 2), (0, 1))}
    assert owners(paths, SIZES) == {(0, 0): "a", (0, 1): "b", (1, 0): "a", (1, 1): "b"}
    assert reused(paths, SIZES, "c") == {
        "a": {"modules": 1, "parameters": 5},
        "b": {"modules": 2, "parameters": 26},
        "c": {"modules": 0, "parameters": 0},
    }
    # with a head of 4: 20 + 5 + 6 of others, the head its own
    assert of_run(paths, SIZES, "c", 35) == {
        "parameters": {"own": 4, "own_modules": 0, "shared": 31},
        "reuse": {"a": {"modules": 1, "parameters": 5}, "b": {"modules": 2, "parameters": 26}},
    }
    assert of_run({"a": paths["a"]}, SIZES, "a", 19)["parameters"] == {"own": 19, "own_modules": 2, "shared": 0}


layers = st.lists(st.sets(st.integers(0, 2), min_size=1), min_size=2, max_size=2)


@given(drawn=st.lists(layers, min_size=1, max_size=5), head=st.integers(0, 9))
def test_own_and_reused_parameters_add_up(drawn, head):
    paths = {str(k): tuple(tuple(sorted(layer)) for layer in one) for k, one in enumerate(drawn)}
    trained = {}
    for name, path in paths.items():
        on_path = sum(SIZES[n][i] for n, layer in enumerate(path) for i in layer)
        found = of_run({k: paths[k] for k in list(paths)[: int(name) + 1]}, SIZES, name, on_path + head)
        assert found["parameters"]["own"] + found["parameters"]["shared"] == on_path + head
        assert sum(row["parameters"] for row in found["reuse"].values()) == found["parameters"]["shared"]
        trained[name] = found["parameters"]["own"] - head
    # each weight of the grid that is on a path was trained by one task
    assert sum(trained.values()) == sum(SIZES[n][i] for n, i in owners(paths, SIZES))


def test_matrix_tells_an_expert_from_a_namesake():
    old = {"parameters": {"expert": 9, "own": 9, "own_modules": 2, "shared": 0}, "reuse": {}, "earlier_experts": []}
    new = {
        "parameters": {"expert": 9, "own": 3, "own_modules": 1, "shared": 6},
        "reuse": {"a": {"modules": 2, "parameters": 6}},
        "earlier_experts": [{"task": "a", "file_sha256_after": "x"}],
    }
    found = matrix({"a": old, "b": new}, {"a": "x", "b": "y"})
    assert (found["owners"], found["parameters"]) == (["a", "b"], [[9, 0], [6, 3]])
    assert found["modules"] == [[2, 0], [2, 1]]
    other = matrix({"a": old, "b": new}, {"a": "another", "b": "y"})
    assert (other["owners"], other["parameters"]) == (["a", "b", "others"], [[9, 0, 0], [0, 3, 6]])
    assert matrix({"a": old}, {"a": "x"}) is None
    before = {"parameters": {"expert": 9}, "earlier_experts": []}  # as reports were
    found = matrix({"a": before, "b": new}, {"a": "x", "b": "y"})
    assert (found["parameters"], found["modules"]) == ([[9, 0], [6, 3]], [[None, 0], [2, 1]])


# --- four tasks on one grid -----------------------------------------------------------------------------------------


def bytes_of(run: Run) -> bytes:
    return run.expert_file.read_bytes()


@functools.cache
def maps() -> torch.Tensor:
    return torch.from_numpy(np.array(encode(task("first"), encoder(), data_dir() / "features").views[0]))


@functools.cache
def chain() -> tuple[list[Run], list[list[tuple[bytes, bytes]]]]:
    """The four runs; after each, every expert so far: its file, and its logits of the first task's images."""
    runs: list[Run] = []
    history = []
    for name in CHAIN:
        drawn, n = DRAWN[name]
        prepare(data_dir(), drawn, n=n, name=name)
        chosen = settings(name, grown_from=runs[-1].name if runs else None)
        runs.append(evolve(scratch() / "chain" / name, chosen)[0])
        history.append(
            [(bytes_of(run), Expert.load(run.expert_file).outputs(maps()).numpy().tobytes()) for run in runs]
        )
    return runs, history


def check_nothing_forgotten(history: list[list[tuple[bytes, bytes]]]) -> None:
    """Every expert is, after each later task, what it was when it was new."""
    for added, later in enumerate(history):
        for number, now in enumerate(later):
            assert now == history[number][number], f"expert {number} after task {added}"


def test_no_task_of_four_is_forgotten():
    runs, history = chain()
    check_nothing_forgotten(history)
    assert [len(row) for row in history] == [1, 2, 3, 4]
    for number, run in enumerate(runs):
        rows = run.report()["earlier_experts"]
        assert [row["task"] for row in rows] == list(CHAIN[:number]), "the whole line, as part of the command"
        for row, earlier in zip(rows, runs, strict=False):
            assert row["logits_identical"]
            assert row["file_sha256_before"] == row["file_sha256_after"] == file_sha256(earlier.expert_file)


@pytest.mark.parametrize("part", [0, 1], ids=["file", "logits"])
def test_check_nothing_forgotten_sees_one_changed_byte(part):
    history = copy.deepcopy(chain()[1])
    found = list(history[3][1])
    found[part] = found[part][:-1] + bytes([found[part][-1] ^ 1])
    history[3][1] = tuple(found)
    with pytest.raises(AssertionError, match="expert 1 after task 3"):
        check_nothing_forgotten(history)


def test_reports_count_what_was_reused():
    runs, _ = chain()
    for number, run in enumerate(runs):
        report = run.report()
        size = report["parameters"]
        assert size["own"] + size["shared"] == size["expert"]
        assert list(report["reuse"]) == list(CHAIN[:number])
        assert sum(row["parameters"] for row in report["reuse"].values()) == size["shared"]
        card = json.loads(run.path_file.read_text())
        assert list(card["paths"]) == list(CHAIN[: number + 1])
        assert card["paths"][CHAIN[number]] == card["layers"]
    assert runs[0].report()["parameters"]["shared"] == 0
    assert any(run.report()["parameters"]["shared"] for run in runs), "else this test says nothing"


def test_reused_weights_are_the_owners_bit_for_bit():
    runs, _ = chain()
    card = json.loads(runs[-1].path_file.read_text())
    paths = {name: tuple(map(tuple, layers)) for name, layers in card["paths"].items()}
    experts = {name: Expert.load(run.expert_file) for name, run in zip(CHAIN, runs, strict=True)}
    owner = owners(paths, card["module_parameters"])

    def weights(name, place):
        layer = paths[name][place[0]]
        return experts[name].network.network.modules_of(place[0])[layer.index(place[1])].state_dict()

    checked = 0
    for name, path in paths.items():
        for where in ((n, i) for n, layer in enumerate(path) for i in layer):
            if owner.get(where, name) != name:
                ours, theirs = weights(name, where), weights(owner[where], where)
                assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
                checked += 1
    assert checked == sum(row["modules"] for run in runs for row in run.report()["reuse"].values())


@functools.cache
def joint_report() -> str:
    report = joint.joint_evaluate(chain()[0], data_dir(), place(), 0)
    return json.dumps(report, allow_nan=False)


def test_the_joint_report_has_the_reuse_matrix(tmp_path):
    report = json.loads(joint_report())
    table = report["reuse"]
    assert (table["tasks"], table["owners"]) == (list(CHAIN), list(CHAIN))
    for row, run in enumerate(chain()[0]):
        assert sum(table["parameters"][row]) == run.report()["parameters"]["expert"]
        assert not any(table["parameters"][row][row + 1 :]), "nobody reuses what came later"
    alone = joint.joint_evaluate(chain()[0][:1], data_dir(), place(), 0)
    assert alone["reuse"] is None


def test_figures_of_a_grown_grid(tmp_path):
    runs, _ = chain()
    drawn = {file.name for file in plot_run(runs[-1].folder)}
    assert {"paths.png", "paths.svg"} <= drawn
    svg = (runs[-1].folder / "paths.svg").read_text()
    assert all(f">{name}<" in svg for name in CHAIN), "head or legend"
    assert "paths.png" not in {file.name for file in plot_run(runs[0].folder)}, "one path is path_on_grid's"
    (tmp_path / "report.json").write_text(joint_report())
    assert {"reuse.png", "reuse.svg"} <= {file.name for file in plot_joint(tmp_path)}


def test_an_earlier_task_of_whom_nothing_is_used_is_said_to_be_that():
    """A search may leave all of its modules; a list of no layers is no sentence."""
    about = {
        "runs": {"a": "a-s0", "b": "b-s0"},
        "strategy": "joint",
        "loss_weights": "equal",
        "shared_layers": ["down1"],
    }
    about |= {"shared_parameters": 1, "parameters": 2, "begun_from": [{"task": "old", "run": "old-s0", "layers": []}]}
    last = together_in_words({"task": "a", "together": about})[-1]
    assert last == "Begun on the grid of old (old-s0), none of whose modules is on their paths."
