"""Damages a file, lets its readers read it in a contained process, and says what came of it."""

from __future__ import annotations

import gc
import multiprocessing
import os
import resource
import shutil
import signal
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command_world import start
from commands import silent, stand_ins
from forms import Form
from mutants import mutant
from soak_world import pristine

SECONDS = 5.0  # of processor time that a reading may take
PATIENCE = 60.0  # seconds of waiting, for what hangs without working
TIMES_MEMORY = 2.0  # of what the whole file takes
ADDRESSES = 6 << 30  # bytes beyond the worker's own, so that a bomb does no harm

# Right: the same result, a refusal, or another file of a person's. All others are wrong; the worst of several counts.
OUTCOMES = ("same", "refused", "accepted", "believed", "traceback", "memory", "slow", "crashed", "unpickled")
RIGHT = OUTCOMES[:3]


@dataclass(frozen=True)
class Verdict:
    """What came of one mutant.

    Attributes:
        form, seed, number: which mutant.
        damage: in words.
        outcome: one of `OUTCOMES`.
        about: the command that read it so, and what it said.
        seconds: of processor time that all readings took.
    """

    form: str
    seed: int
    number: int
    damage: str
    outcome: str
    about: str
    seconds: float = 0.0

    @property
    def right(self) -> bool:
        return self.outcome in RIGHT

    def __str__(self) -> str:
        return f"{self.outcome}: {self.form}, number {self.number}, seed {self.seed}: {self.damage}; {self.about}"


class Judge:
    """A worker process that judges mutants in one folder, and another one when it dies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: Any = None
        self._line: Any = None

    def judge(self, form: Form, seed: int, numbers: range) -> Iterator[Verdict]:
        """The verdicts on the mutants `numbers` of a form, in order."""
        for number in numbers:
            self._ask(form, seed, number)
            damage = self._answer(2 * PATIENCE)
            verdict = self._answer(PATIENCE * len(form.reads)) if isinstance(damage, str) else damage
            if isinstance(verdict, Exception):
                raise verdict
            yield verdict or Verdict(form.name, seed, number, damage or "before any damage", *self._bury())

    def close(self) -> None:
        if self._process is not None:
            self._bury()

    def _ask(self, form: Form, seed: int, number: int) -> None:
        if self._process is None:
            self._line, theirs = multiprocessing.Pipe()
            self._process = start(serve, str(self.folder), theirs)
            theirs.close()
        self._line.send((form, seed, number))

    def _answer(self, seconds: float) -> Any:
        """The worker's next word; None if it died or has nothing to say."""
        try:
            return self._line.recv() if self._line.poll(seconds) else None
        except (EOFError, ConnectionError):
            return None

    def _bury(self) -> tuple[str, str]:
        self._process.join(1)
        if hung := self._process.is_alive():
            self._process.kill()
            self._process.join()
        code, self._process = self._process.exitcode, None
        if hung:
            return "slow", f"no answer within {PATIENCE:.0f} s"
        if code == -signal.SIGPROF:
            return "slow", f"more than {SECONDS:.0f} s of processor time"
        return "crashed", f"the process ended with {code}"


def serve(folder: str, line: Any) -> None:
    """Judge what comes along `line` until it closes."""
    shutil.rmtree(folder)  # an earlier worker may have died in the midst
    shutil.copytree(pristine(Path(folder)), folder)
    os.chdir(folder)
    stand_ins()
    gc.freeze()  # what is imported by now is never garbage
    soft = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (soft, soft))
    whole: dict[Any, tuple[Any, int]] = {}  # what each reading gives of whole files, and its memory
    with silent():
        while True:
            try:
                form, seed, number = line.recv()
            except EOFError:
                return
            try:
                whole |= {read: _normal(read) for read in form.reads if read not in whole}
                if form.optional and form not in whole:
                    whole[form] = _without(form)
                line.send(_judge(form, seed, number, whole, line))
            except Exception as error:  # a fault of the harness, not of what it tests
                line.send(RuntimeError(f"{form.name}, number {number}: {type(error).__name__}: {error}"))


def _judge(form: Form, seed: int, number: int, whole: Any, line: Any) -> Verdict:
    file = form.file(number)
    stat = file.stat()
    change = mutant(form.name, file.name, file.read_bytes(), seed, number)
    words = f"{file.name}: {change.words}" if len(form.patterns) > 1 else change.words
    line.send(words)
    worst, about, total = "same", "the same result", 0.0
    for read in form.reads:
        expected, memory = whole[read]
        if change.data is None:
            file.unlink()
        else:
            file.write_bytes(change.data)
            os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as rot leaves it
        found, peak, seconds = _measured(read)
        total += seconds
        right = [expected[1], *whole.get(form, ())]
        outcome, said = _compare(form, found, right)
        if Path("unpickled").exists():
            outcome, said = "unpickled", "a pickle was run"
        elif peak > TIMES_MEMORY * memory:  # before slowness: on a busy machine the pages themselves take their time
            outcome, said = "memory", f"{peak >> 20} MiB where the whole file takes {memory >> 20}"
        elif seconds > SECONDS:
            outcome, said = "slow", f"{seconds:.1f} s"
        if OUTCOMES.index(outcome) > OUTCOMES.index(worst):
            worst, about = outcome, f"{read}: {said}"
        restore(file)
    return Verdict(form.name, seed, number, words, worst, about, total)


def _compare(form: Form, found: Any, right: Collection[str]) -> tuple[str, str]:
    code, result, fault = found
    if code == 2:
        return ("refused", result.strip()[-200:]) if result.strip() else ("traceback", "exit 2 without a line")
    if code != 0:
        return "traceback", fault or result
    if result in right:
        return "same", "the same result"
    return ("believed", "another result") if form.kept else ("accepted", "another result")


def _normal(read: Any) -> tuple[Any, int]:
    """Result and memory of the whole file; read twice, for the first time loads libraries."""
    restore()
    first, peak, _ = _measured(read, limited=False)
    restore()
    second, again, _ = _measured(read, limited=False)
    restore()
    if first != second or first[0]:
        raise AssertionError(f"{read}: the whole file gives {first}, then {second}")
    return second, max(peak, again)


def _without(form: Form) -> list[str]:
    """What the readings of a form give where its file never was."""
    found = []
    for read in form.reads:
        form.file().unlink()
        code, result, _ = read()
        found += [result] if code == 0 else []
        restore()
    return found


def _measured(read: Any, limited: bool = True) -> tuple[Any, int, float]:
    """What a reading gives, the most memory it took in bytes, and its processor time in seconds."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    started = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, 1.2 * SECONDS if limited else 0)  # its signal ends the process
    try:
        result = read()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    seconds = time.process_time() - started
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return result, peak << 10, seconds


FOLDER = ()
_whole: dict[str, tuple[int, ...]] = {}


def restore(damaged: Path | None = None) -> None:
    """Make the working directory what it was: the damaged file, and what sizes and times of change tell of others."""
    origin = pristine(Path.cwd())
    if not _whole:
        _whole.update(_files(str(origin)))
    now = _files(".")
    now.pop(str(damaged), None)
    for name in sorted(now.keys() - _whole.keys(), reverse=True):  # what is in a folder before the folder
        if now[name] == FOLDER:
            Path(name).rmdir()
        else:
            Path(name).unlink()
    for name, about in _whole.items():
        if now.get(name) != about:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(origin / name, name)


def _files(folder: str) -> dict[str, tuple[int, ...]]:
    """Size and time of change of every file, and all folders."""
    found: dict[str, tuple[int, ...]] = {}
    below = [folder]
    while below:
        with os.scandir(below.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.path)
                    found[entry.path[len(folder) + 1 :]] = FOLDER
                else:
                    stat = entry.stat(follow_symlinks=False)
                    found[entry.path[len(folder) + 1 :]] = stat.st_size, stat.st_mtime_ns
    return found
