"""Kills a command at a chosen moment, gives it again, and compares with what it gives when nobody kills it."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from command_world import start
from commands import Answer, content, timeless
from interrupted import Moment, command
from small_world import scratch
from soak_world import COMPARE, DATA, RUNS, evolve, pristine, world

PATIENCE = 120  # seconds
LITTER = re.compile(r"\..*\.(part|old)\b")  # what stands aside while something is made


@dataclass(frozen=True)
class Scenario:
    """A command that may be killed.

    Attributes:
        name: for a person.
        arguments: of the command.
        needs: folders of the world that it works on.
        results: files that it makes, globs; what they hold must not depend on kills.
        before: a command that is given first, such as one whose result is then overwritten.
        again: what a user may add when giving it again, in the order in which they would try.
        whole: says in what state the folder is; right after a kill it must be one that a whole command leaves.
    """

    name: str
    arguments: list[str]
    needs: tuple[str, ...]
    results: tuple[str, ...]
    before: list[str] | None = None
    again: tuple[tuple[str, ...], ...] = ((),)
    whole: Callable[[Path], str] | None = None


@dataclass(frozen=True)
class Kill:
    """What came of one kill.

    Attributes:
        scenario: its name.
        moment: when, in words.
        faults: what was wrong; none if all was right.
    """

    scenario: str
    moment: str
    faults: list[str]


# --- scenarios -----------------------------------------------------------------------------------------------------

KINDS = {
    "folder": ["--source", "sources/folder"],
    "csv": ["--source", "sources/csv/table.csv"],
    "npz": ["--source", "sources/arrays.npz"],
    "ecg": ["--source", "sources/records"],
    "pneumonia": ["--source", "sources/x-rays", "--split", "random"],
}
RUN_FILES = tuple(f"runs/new/{name}" for name in ("expert.safetensors", "router.safetensors", "path.json", "log.csv"))


def prepare(kind: str, size: int, *more: str) -> list[str]:
    return ["prepare", kind, *KINDS[kind], "--name", "new", "--image-size", str(size), "--data-dir", "out", *more]


def task_of(folder: Path) -> str:
    """The prepared task's fingerprint: it is there, and whole."""
    from data_prep.manifest import load_task

    task = load_task(folder / "out", "new")
    return task.fingerprint


def bundle_of(folder: Path) -> str:
    """The bundle's tasks: it is there, and whole."""
    import torch

    from pathsearch.experts.bundle import load

    return ",".join(load(folder / "bundle", torch.device("cpu")).model.experts)


def _scenarios() -> list[Scenario]:
    made = ("out/new/manifest.csv", "out/new/task.json", "out/new/images/**/*")
    found = []
    for kind in KINDS:
        found.append(Scenario(f"prepare {kind}", prepare(kind, 32), ("sources",), made))
        over = prepare(kind, 24, "--overwrite")
        found.append(
            Scenario(f"prepare {kind} --overwrite", over, ("sources",), made, prepare(kind, 32), whole=task_of)
        )
    new = evolve("blobs", "new")
    once_more = [*evolve("blobs", "new"), "--seed", "1", "--overwrite"]
    resume = (("--resume",), ())
    joint = ["joint-eval", "blobs", "stripes", *DATA, *RUNS]
    pack = ["bundle", "blobs", "stripes", "--out", "bundle", *DATA, *RUNS]
    pack_one = ["bundle", "blobs", "--out", "bundle", "--overwrite", *DATA, *RUNS]
    answer = ["predict", "bundle", "sources/folder", "--out", "answers.csv", "--explain", "maps"]
    found += [
        Scenario("evolve", new, ("data",), RUN_FILES, again=resume),
        Scenario("evolve --overwrite", once_more, ("data",), RUN_FILES, new, again=resume),
        Scenario("joint-eval", joint, ("data", "runs"), ()),
        Scenario("bundle", pack, ("data", "runs"), ("bundle/**/*",), ["doctor", *DATA, *RUNS]),
        Scenario("bundle --overwrite", pack_one, ("data", "runs"), ("bundle/**/*",), pack, whole=bundle_of),
        Scenario("compare", COMPARE, ("data",), ()),
        Scenario("predict", answer, ("bundle", "sources"), ("answers.csv", "maps/**/*")),
        Scenario("plot", ["plot", "blobs", *DATA, *RUNS], ("data", "runs"), ("runs/blobs/*.svg", "runs/blobs/*.png")),
    ]
    return found


SCENARIOS = {scenario.name: scenario for scenario in _scenarios()}


# --- running -------------------------------------------------------------------------------------------------------


def fresh(scenario: Scenario) -> Path:
    """A folder in which the command can be given."""
    folder = Path(tempfile.mkdtemp(dir=scratch()))
    origin = pristine(world())
    unwanted = ["features"] if scenario.name.startswith("evolve") else []  # they are encoded, too
    for name in scenario.needs:
        shutil.copytree(origin / name, folder / name, ignore=shutil.ignore_patterns(*unwanted))
    if scenario.before:
        ended = run(scenario.before, folder)
        assert ended is not None, scenario
        assert ended.code == 0, (scenario, ended)
    return folder


def run(arguments: list[str], folder: Path, moment: Moment | None = None, after: float | None = None) -> Answer | None:
    """Give a command to its end, to a moment of its own, or for so many seconds; None if it did not come to its end."""
    told = told_of(folder)
    told.unlink(missing_ok=True)
    process = start(command, [*arguments, *([] if _silent(arguments) else ["--json"])], str(folder), moment, str(told))
    process.join(PATIENCE if after is None else after)
    if hung := process.is_alive():
        process.kill()
        process.join()
    if not told.is_file():
        if hung and after is None:
            raise TimeoutError(f"pathsearch {' '.join(arguments)}: longer than {PATIENCE} s")
        return None
    return Answer(*json.loads(told.read_text())[1:])


def told_of(folder: Path) -> Path:
    """The file for what the last command in a folder told: where a full disk leaves room for it."""
    return scratch() / f"{folder.name}.told"


def _silent(arguments: list[str]) -> bool:
    return arguments[0] == "predict"


@functools.cache
def never_killed(name: str) -> tuple[list[str], str, set[str], str | None, str | None, float]:
    """Its changes of the disk, result, files, states before and after, and seconds."""
    scenario = SCENARIOS[name]
    folder = fresh(scenario)
    before = scenario.whole(folder) if scenario.whole else None
    started = time.perf_counter()
    answer = run(scenario.arguments, folder)
    seconds = time.perf_counter() - started
    assert answer is not None, name
    assert answer.code == 0, (name, answer)
    changes = json.loads(told_of(folder).read_text())[0]
    after = scenario.whole(folder) if scenario.whole else None
    found = changes, result(scenario, answer, folder), files(folder), before, after, seconds
    shutil.rmtree(folder)
    return found


def kill(name: str, seed: int, number: int, of: int) -> Kill:
    """Kill a scenario for the `number`-th time of `of`: moments spread over its length, each drawn within its part."""
    scenario, rng = SCENARIOS[name], Random(f"{seed} {name} {number}")
    changes, expected, there, before, after, seconds = never_killed(name)
    part = (number + rng.random()) / of
    moment, timer = None, None
    if number % 5 == 4:
        timer, words = seconds * part, f"after {seconds * part:.2f} s of {seconds:.2f}"
    else:
        sent = signal.SIGTERM if number % 4 == 2 else signal.SIGKILL
        moment = Moment(1 + int(part * len(changes)), sent=sent)
        at = changes[moment.number - 1]
        words = f"{signal.Signals(sent).name} at change {moment.number} of {len(changes)}, {_brief(at)}"
    folder = fresh(scenario)
    old = litter(folder)
    run(scenario.arguments, folder, moment, timer)
    faults = []
    if scenario.whole:
        try:
            if (state := scenario.whole(folder)) not in (before, after):
                faults.append(f"after the kill neither old nor new: {state}")
        except Exception as error:
            faults.append(f"after the kill nothing whole is there: {error}")
    faults += _again(scenario, folder, expected, there)
    if grown := sorted(litter(folder) - old):
        faults.append(f"litter: {', '.join(grown[:3])}")
    shutil.rmtree(folder)
    return Kill(name, words, faults)


def _again(scenario: Scenario, folder: Path, expected: str, there: set[str]) -> list[str]:
    answer: Answer | None = None
    for more in scenario.again:
        # as a user would: if the task is there already, it was finished
        answer = run([*scenario.arguments, *more], folder)
        if answer is not None and answer.code == 0:
            break
    assert answer is not None, scenario
    if answer.code and "--overwrite" in answer.err and "--overwrite" not in scenario.arguments:
        answer = run([*scenario.arguments, "--overwrite"], folder)  # it was whole when it was killed
        assert answer is not None, scenario
    if answer.code:
        return [f"given again: exit {answer.code}: {(answer.fault or answer.err).strip()[-300:]}"]
    faults = []
    if result(scenario, answer, folder) != expected:
        faults.append("given again: another result")
    if lost := sorted(there - files(folder)):
        faults.append(f"not there: {', '.join(lost[:3])}")
    return faults


# --- results -------------------------------------------------------------------------------------------------------


def result(scenario: Scenario, answer: Answer, folder: Path) -> str:
    """Digest of what a command said and made, times apart."""
    said = answer.out if _silent(scenario.arguments) else json.dumps(timeless(json.loads(answer.out)), sort_keys=True)
    sha = hashlib.sha256(said.encode())
    for pattern in scenario.results:
        for file in sorted(folder.glob(pattern)):
            if file.is_file() and not file.name.startswith("."):
                sha.update(content(file))
    return sha.hexdigest()


def files(folder: Path) -> set[str]:
    """Names of all files, moments of joint evaluations apart."""
    names = (file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    whole = (name for name in names if not any(LITTER.match(part) for part in Path(name).parts))
    return {re.sub(r"-\d{8}T\d{6}(_\d+)?", "", name) for name in whole}


def litter(folder: Path) -> set[str]:
    """Files and folders that stood aside while something was made, the outermost of each."""
    found = [file.relative_to(folder) for file in folder.rglob(".*") if LITTER.match(file.name)]
    return {file.as_posix() for file in found if not any(LITTER.match(part) for part in file.parts[:-1])}


def _brief(change: str) -> str:
    kind, path = change.split(" ", 1)
    return f"{kind} {'/'.join(Path(path).parts[-2:])}"
