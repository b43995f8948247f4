"""Killed at any moment and resumed: the same log, expert and report as if nothing had happened."""

from __future__ import annotations

import functools
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from command_world import Finished, command, pathsearch, start
from small_world import copied, data_dir, earlier, finished, options, outcome, refused, scratch, settings

from pathsearch.cli import main as cli
from pathsearch.reports import figures, report_page
from pathsearch.run.runs import Run

# Killed here, a run is over but for its figures: nothing more is needed to compare it.
AT_THE_END = ("pathsearch.reports.figures:plot_run", 1)
MODES = {
    "shared": {},
    "fresh": {"weights": "fresh"},
    "pareto": {"pareto": True},
    "pathnet": {"preset": "pathnet", "threshold": "balanced"},
}


def run_of(folder: Path) -> Run:
    return Run(folder / "blobs-random-s0")


def evolve(folder: Path, mode: str, *more: str, kill: tuple[str, int] | None = AT_THE_END) -> Finished:
    return pathsearch("evolve", *arguments(folder, mode), *more, kill=kill)


def arguments(folder: Path, mode: str) -> list[str]:
    chosen = settings("blobs", **MODES[mode])
    return [*options(chosen), "--data-dir", str(data_dir()), "--runs-dir", str(folder)]


@functools.cache
def uninterrupted(mode: str) -> dict[str, Any]:
    """What a run gives that is never killed."""
    folder = scratch() / f"uninterrupted-{mode}"
    ended = evolve(folder, mode)
    assert run_of(folder).finished, ended
    return outcome(run_of(folder))


def killed(folder: Path, mode: str, where: tuple[str, int]) -> Run:
    ended = evolve(folder, mode, "--resume", kill=where)
    assert ended.code == -signal.SIGKILL, ended
    assert not run_of(folder).finished
    return run_of(folder)


# Chains of kills, each followed by --resume: mode, and (function, at its n-th call in that process).
CHAINS = {
    "shared": (
        "shared",
        [
            ("pathsearch.training.fitness:SharedWeights.score", 1),  # in the first generation
            ("pathsearch.experts.evolve:write_table", 3),  # the last generation saved, not yet logged
            ("pathsearch.training.baselines:train", 3),  # in the last trainings
            ("pathsearch.training.baselines:train", 2),  # in later ones, for the first are kept
            ("pathsearch.training.kept:save_sealed", 1),  # one is finished, not yet kept
            ("pathsearch.experts.finishing:write_json", 2),  # the report is ready, not yet written
            ("pathsearch.run.runs:Run.seal", 1),  # it is written, its digest is not
        ],
    ),
    "fresh": (
        "fresh",
        [("pathsearch.training.fresh:FreshWeights.train", 3), ("pathsearch.experts.expert:Expert.save", 1)],
    ),
    "shared, other steps": (
        "shared",
        [
            ("pathsearch.training.fitness:SharedWeights.train", 1),  # in the warm-up
            ("pathsearch.training.kept:Kept.save_generation", 2),  # a generation done, not yet saved
            ("pathsearch.training.baselines:train", 1),  # the search is over
            ("pathsearch.experts.expert:Expert.save", 1),
            ("pathsearch.experts.router:Territory.save", 1),  # the expert is there, the router is not
            ("pathsearch.encoders.features:Features.test", 1),
        ],
    ),
    "fresh, other steps": (
        "fresh",
        [("pathsearch.experts.evolve:write_table", 1), ("pathsearch.training.baselines:refit", 2)],
    ),
    "pareto": ("pareto", [("pathsearch.experts.evolve:write_table", 2), ("pathsearch.training.baselines:train", 1)]),
    "pathnet": ("pathnet", [("pathsearch.training.kept:Kept.save_generation", 2)]),
}
QUICK = ("shared", "fresh")


@pytest.mark.parametrize("chain", [c if c in QUICK else pytest.param(c, marks=pytest.mark.slow) for c in CHAINS])
def test_killed_at_every_step_and_resumed(tmp_path, chain):
    mode, kills = CHAINS[chain]
    for where in kills:
        killed(tmp_path, mode, where)
    ended = evolve(tmp_path, mode, "--resume")
    assert run_of(tmp_path).finished, ended
    expected, found = uninterrupted(mode), outcome(run_of(tmp_path))
    for part in expected:
        assert found[part] == expected[part], part


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["shared", "fresh"])
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random_moments_and_resumed(tmp_path, mode, seed):
    expected = uninterrupted(mode)
    rng, kills = random.Random(seed), 0
    while not run_of(tmp_path).finished:
        process = start(command, ["evolve", *arguments(tmp_path, mode), "--resume"], tmp_path)
        # from its first moments to its end; later each time, so that it gets there
        process.join(rng.uniform(0, 0.6) + 0.3 * kills)
        if process.is_alive():
            process.kill()
            process.join()
            kills += 1
    assert kills, "nothing was interrupted"
    assert outcome(run_of(tmp_path)) == expected


def test_another_process_gives_the_same_run():
    assert uninterrupted("shared") == outcome(finished("blobs"))


def test_a_finished_run_is_not_run_again(tmp_path):
    uninterrupted("shared")
    run = copied(run_of(scratch() / "uninterrupted-shared"), tmp_path)
    before = {file: file.stat().st_mtime_ns for file in run.folder.rglob("*.safetensors")}
    time.sleep(0.01)
    ended = evolve(tmp_path, "shared", "--resume", kill=("pathsearch.experts.evolve:evolve", 1))
    assert ended.code == 0, ended
    assert "is finished already; its report:" in ended.out
    assert {file: file.stat().st_mtime_ns for file in run.folder.rglob("*.safetensors")} == before
    assert (run.folder / "fitness_curve.png").is_file(), "figures that were missing are drawn"


def test_figures_are_drawn_while_no_other_process_may_enter(tmp_path, monkeypatch, capsys):
    uninterrupted("shared")
    run = copied(run_of(scratch() / "uninterrupted-shared"), tmp_path)
    seen = []

    def draw(folder: Path, *_: Any, **__: Any) -> Any:
        with refused("another process is at work in it"), Run(folder).alone():
            pass
        seen.append(folder)
        return [] if len(seen) == 1 else folder / "report.html"

    monkeypatch.setattr(figures, "plot_run", draw)
    monkeypatch.setattr(report_page, "write_page", draw)
    monkeypatch.setattr(sys, "argv", ["pathsearch", "evolve", *arguments(tmp_path, "shared"), "--resume"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert seen == [run.folder, run.folder]


def test_a_run_of_an_earlier_version_is_said_to_be_one(tmp_path):
    uninterrupted("shared")
    earlier(copied(run_of(scratch() / "uninterrupted-shared"), tmp_path))
    line = "run blobs-random-s0: of an earlier version, without SHA256SUMS: damage to its files would go unseen\n"
    where = ["--runs-dir", tmp_path, "--data-dir", data_dir()]
    for words in (
        ["evolve", *arguments(tmp_path, "shared"), "--resume"],
        ["plot", "blobs-random-s0", *where],
        ["joint-eval", *where],
        ["bundle", "blobs-random-s0", "--out", tmp_path / "out", *where],
    ):
        ended = pathsearch(*words)
        assert ended.code == 0, ended
        assert line in ended.out, ended


@pytest.mark.parametrize("name", [".", "..", "../x", "a/b"])
def test_a_run_name_that_leads_elsewhere_is_refused(tmp_path, name):
    (tmp_path / "dear.txt").write_text("to me")
    ended = evolve(tmp_path, "shared", "--run-name", name, "--overwrite", kill=None)
    assert ended.code == 2
    assert ended.err.startswith("error: run name: expected that of a folder in "), ended
    assert [file.name for file in tmp_path.iterdir()] == ["dear.txt"]


def test_resume_with_other_options_is_refused(tmp_path):
    killed(tmp_path, "shared", ("pathsearch.training.fitness:SharedWeights.score", 1))
    ended = evolve(tmp_path, "shared", "--resume", "--set", "search.hall_of_fame=5")
    assert ended.code == 2
    assert ended.err.startswith("error: --resume blobs-random-s0: search.hall_of_fame was 10, now 5; give the options")
