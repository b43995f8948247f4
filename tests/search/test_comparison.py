"""The directory of a comparison: one look at the test, whole parts, claims of several processes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from threading import Event, Thread
from typing import Any

import torch
from comparisons import SEEDS, chosen, run, timeless
from safetensors import safe_open
from safetensors.torch import save_file
from small_world import encoder, refused, task

from pathsearch.encoders.features import Features
from pathsearch.encoders.split import Split
from pathsearch.run.runs import all_runs, find_run
from pathsearch.run.sums import DUE, SUMS
from pathsearch.run.teller import Silent
from pathsearch.run.threads import keeps_threads
from pathsearch.search import comparison, rivals
from pathsearch.search.arena import Budget
from pathsearch.search.comparison import NEEDED, Comparison
from pathsearch.search.rivals import METHODS
from pathsearch.training.bench import Bench

# --- one look at the test, whole parts ------------------------------------------------------------------------------


def test_the_test_is_read_once_after_all_parts_are_there(tmp_path, monkeypatch):
    parts: list[int] = []
    original: Callable[[Features], Split] = Features.test

    def spy(self: Features) -> Split:
        parts.append(len(list(tmp_path.glob("compare-*/parts/*.safetensors"))))
        return original(self)

    monkeypatch.setattr(Features, "test", spy)
    comparison, first = run(tmp_path, seeds=1)
    assert parts == [len(METHODS)]
    assert run(tmp_path, seeds=1)[1] == json.loads(json.dumps(first)), "a finished one is read, not made again"
    assert parts == [len(METHODS)]
    comparison.report_file.unlink()
    run(tmp_path, seeds=1)
    assert len(parts) == 2, "the spy sees a second look"


def test_an_interrupted_comparison_goes_on_to_the_same_report(compared, tmp_path, monkeypatch):
    comparison, report = compared
    made: list[tuple[str, int]] = []
    folder = tmp_path / comparison.folder.name
    shutil.copytree(comparison.folder, folder)
    again = Comparison(folder)
    again.report_file.unlink()
    for lost in ((0, "pathnet"), (1, "nearest")):
        again.part(*lost).unlink()
    original = rivals.enter

    def enter(bench: Bench, method: str, budget: Budget | None = None) -> rivals.Entry:
        made.append((method, bench.seed))
        return original(bench, method, budget)

    monkeypatch.setattr(rivals, "enter", enter)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # it goes on with the threads that it began with
    env = (folder / "env.json").read_bytes()
    with keeps_threads():
        torch.set_num_threads(2)
        found = run(tmp_path)[1]
    assert (folder / "env.json").read_bytes() == env
    assert made == [("pathnet", 0), ("nearest", 1)]
    assert timeless(found) == timeless(report)


def test_parts_made_beside_each_other_are_the_same(compared, tmp_path, monkeypatch):
    monkeypatch.setattr("pathsearch.search.compare.processes_for", lambda *_: 2)
    assert timeless(run(tmp_path)[1]) == timeless(compared[1])


def test_a_later_first_seed_gives_the_parts_of_that_seed(compared, tmp_path):
    (comparison, _), (later, report) = compared, run(tmp_path, replace(chosen(), seed=1), seeds=1)
    assert report["seeds"] == [1]
    for method in METHODS:
        one, same = comparison.load(1, method), later.load(1, method)
        assert one is not None
        assert same is not None
        assert torch.equal(one.said["log_p"], same.said["log_p"]), method
        assert one.facts["path"] == same.facts["path"] if "path" in one.facts else "path" not in same.facts


def test_every_seed_draws_its_own_few_images(tmp_path, monkeypatch):
    seen: dict[tuple[int, str], list[list[int]]] = {}
    original = rivals.enter

    def enter(bench: Bench, method: str, budget: Budget | None = None) -> rivals.Entry:
        seen[bench.seed, method] = [split.rows[0].tolist() for split in (bench.training, bench.validation)]
        return original(bench, method, budget)

    monkeypatch.setattr(rivals, "enter", enter)
    few = chosen(images_per_class=6, steps=1, warmup=1)
    comparison, report = run(tmp_path, few)
    draws = [{str(rows) for (seed, _), rows in seen.items() if seed == one} for one in range(SEEDS)]
    assert [len(one) for one in draws] == [1, 1], "the same for all rivals of a seed"
    assert draws[0] != draws[1]
    assert [len(rows) for rows in seen[0, "evolved"]] == [12, 12]
    assert "only 6 training images" in report["split_in_words"]
    assert report["budget"]["settings"]["training"]["images_per_class"] == 6
    row = report["methods"]["evolved"]
    assert (row["validation"]["n"], row["test"]["n"]) == (12, len(task("blobs").rows("test")))
    assert json.loads((comparison.folder / "config.json").read_text())["training"]["images_per_class"] == 6


def test_a_seed_of_few_images_is_what_evolve_does(tmp_path):
    from small_world import evolve

    few = chosen(images_per_class=6)
    others = [name for name in METHODS if name not in NEEDED]
    own = run(tmp_path, few, without=others)[1]["methods"]["evolved"]["each"][1]
    _, report = evolve(tmp_path / "r", replace(few, seed=1))
    assert own["path"] == report["path"]
    assert "only 6 training images" in report["split_in_words"]
    for part in ("validation", "test"):
        assert own[part]["confusion"] == report[part]["confusion"]


def test_a_damaged_part_is_named(compared, tmp_path):
    comparison = Comparison(tmp_path / "c")
    comparison.part(0, "ladder").parent.mkdir(parents=True)
    comparison.part(0, "ladder").write_bytes(compared[0].part(0, "ladder").read_bytes()[:100])
    with refused(r"part .*s0-ladder.safetensors: cannot be read .*remove it to make it again"):
        comparison.load(0, "ladder")
    assert comparison.load(0, "evolved") is None


def test_a_part_of_an_earlier_version_is_named(compared, tmp_path):
    comparison = Comparison(tmp_path / "c")
    file = comparison.part(0, "ladder")
    file.parent.mkdir(parents=True)
    with safe_open(compared[0].part(0, "ladder"), "pt") as opened:
        save_file({"log_p": opened.get_tensor("log_p")}, file, metadata={"part": "{}", "form": "3"})
    with refused(
        r"part .*s0-ladder.safetensors: damaged, or written by an earlier version; remove it to make it again"
    ):
        comparison.load(0, "ladder")


def test_a_part_of_another_seed_is_named(compared, tmp_path):
    comparison = Comparison(tmp_path / "c")
    comparison.part(0, "ladder").parent.mkdir(parents=True)
    shutil.copy(compared[0].part(1, "ladder"), comparison.part(0, "ladder"))
    with refused(r"part .*s0-ladder.safetensors: belongs to other .*remove it to make it again"):
        comparison.load(0, "ladder")


def test_changed_files_of_a_finished_comparison_are_refused(compared, tmp_path):
    folder = tmp_path / compared[0].folder.name
    shutil.copytree(compared[0].folder, folder)
    whole = (folder / "report.json").read_text()
    (folder / "report.json").write_text(whole.replace('"ladder"', '"laddes"', 1))
    with refused(r"report.json: differs from its digest in SHA256SUMS.*remove report.json and give the same command"):
        run(tmp_path)
    (folder / "report.json").write_text(whole)
    (folder / SUMS).unlink()
    with refused(r"SHA256SUMS: expected a file, got none"):
        comparison.read(folder)
    assert not Comparison(folder).finished
    found = json.loads(whole)
    del found[DUE]
    (folder / "report.json").write_text(json.dumps(found))
    assert comparison.read(folder) == found, "one of an earlier version has no digests"
    assert Comparison(folder).finished


def test_other_settings_get_another_directory(tmp_path):
    one = chosen()
    others = [(one, 3), (chosen(views=2), 2), (replace(one, data="other"), 2), (chosen(epochs=5), 2)]
    names = {Comparison.of(tmp_path, of, seeds, encoder()).folder.name for of, seeds in [(one, 2), *others]}
    assert len(names) == 5
    assert Comparison.of(tmp_path, chosen(), 2, encoder()).folder.name in names, "the same settings find it again"
    assert all(name.startswith("compare-blobs-random-") for name in names)
    with refused("--seeds: expected 1 to 1000, got 0"):
        Comparison.of(tmp_path, chosen(), 0, encoder())


def test_a_comparison_is_no_run(compared):
    folder = compared[0].folder
    assert all_runs(folder.parent) == []
    with refused("run compare-.* not found"):
        find_run(folder.parent, folder.name)


def test_two_processes_share_the_work(compared, tmp_path, monkeypatch):
    """What the other process is making is left to it and awaited; every part is made once, the report is the same."""
    comparison, made, enter = Comparison.of(tmp_path, chosen(), SEEDS, encoder()), [], rivals.enter
    mine = [(0, "evolved"), (1, "ladder")]

    def other() -> None:
        with ExitStack() as claims:
            held = [claims.enter_context(comparison.claim(f"s{seed}-{method}", wait=False)) for seed, method in mine]
            claimed.set()
            assert held == [True, True]
            assert waits.wait(60)
            for seed, method in mine:
                shutil.copy(compared[0].part(seed, method), comparison.part(seed, method))

    def spy(where: Bench, method: str, budget: Budget | None = None) -> Any:
        made.append((where.seed, method))
        return enter(where, method, budget)

    class Waiter(Silent):
        def stage(self, name: str, total: int) -> None:
            if len(made) == len(METHODS) - 1:  # seed 1; what seed 0 may spend is not known before its evolved path
                waits.set()

    claimed, waits = Event(), Event()
    monkeypatch.setattr(rivals, "enter", spy)
    rival = Thread(target=other)
    rival.start()
    assert claimed.wait(60)
    report = run(tmp_path, tell=Waiter())[1]
    rival.join()
    assert sorted(made) == sorted({(s, m) for s in range(SEEDS) for m in METHODS} - set(mine))
    assert timeless(report) == timeless(compared[1])


def test_a_claim_is_for_one_process_only(compared):
    with compared[0].claim("x", wait=False) as first, compared[0].claim("x", wait=False) as second:
        assert (first, second) == (True, False)
    with compared[0].claim("x", wait=False) as third:
        assert third
