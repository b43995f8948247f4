"""A finished run of which any file was damaged: refused by name by everything that reads it, never believed."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_world import pathsearch
from small_world import CPU, copied, data_dir, earlier, finished, options, refused, runs_dir, settings

from data_prep.errors import PathsearchError
from pathsearch.experts.heritage import Heritage
from pathsearch.experts.model import Model
from pathsearch.run.runs import RESULTS, Run, find_run, newest_finished, unsealed
from pathsearch.run.sums import SUMS

KEPT = [name for name in RESULTS if name != "answers.safetensors"]  # of classes; test_answers damages that of masks
FORMS = ("config.json", "env.json", *KEPT, SUMS)
MUTANTS = 60

READERS: dict[str, Callable[[Run], Any]] = {
    "report": lambda run: run.report(),
    "settings": lambda run: run.settings(),
    "model": lambda run: Model.of([run], CPU),
    "grid": lambda run: Heritage.of(run.folder.parent, run.name),
    "resume": lambda run: run.open(settings("blobs"), resume=True, overwrite=False),
}


def mutants(content: bytes, rng: random.Random, number: int) -> Iterator[bytes]:
    """Flipped bits mostly, then what interrupted copies leave."""
    yield b""
    yield content + b"\0"
    yield content + content
    yield content[: len(content) // 2]
    yield content[:-1]
    yield content[1:]
    yield bytes(len(content))
    for _ in range(number - 7):
        changed = bytearray(content)
        changed[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        yield bytes(changed)


def json_mutants(content: bytes, rng: random.Random, number: int) -> Iterator[bytes]:
    """A field gone, or of another type, anywhere in an object."""
    whole = json.loads(content)
    for _ in range(number):
        changed = copy.deepcopy(whole)
        owner: Any = changed
        while True:
            keys = list(owner) if isinstance(owner, dict) else range(len(owner))
            key = rng.choice(list(keys))
            if isinstance(owner[key], dict | list) and owner[key] and rng.random() < 0.7:
                owner = owner[key]
                continue
            break
        if rng.random() < 0.4:
            del owner[key]
        else:
            owner[key] = rng.choice([None, 3, -1.5, "text", [], {}, [[]], True, {"a": 1}])
        if changed != whole:
            yield json.dumps(changed).encode()


@pytest.fixture
def run(tmp_path) -> Run:
    return copied(finished("blobs"), tmp_path)


def test_the_readers_take_a_run_that_is_whole(run):
    for read in READERS.values():
        read(run)
    assert unsealed([run]) == []


@pytest.mark.parametrize("form", FORMS)
def test_a_mutant_of_any_file_is_refused_by_name(run, form):
    file, rng = run.folder / form, random.Random(form)
    content = file.read_bytes()
    made = list(mutants(content, rng, MUTANTS))
    if form.endswith(".json"):
        made += json_mutants(content, rng, MUTANTS)
    for number, mutant in enumerate(one for one in made if one != content):
        file.write_bytes(mutant)
        name, read = list(READERS.items())[number % len(READERS)]
        with refused(f"{form}|{SUMS}"):
            read(run)
            raise AssertionError(f"{name} believed mutant {number} of {form}")
        with refused(f"no finished run in .*; blobs: .*({form}|{SUMS})"):
            newest_finished(run.folder.parent)
    file.write_bytes(content)
    READERS["model"](run)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_is_gone_is_refused_by_name(run, form, reader):
    (run.folder / form).unlink()
    if reader == "resume" and form == SUMS:  # a kill before the digests looks the same: all after the search is remade
        READERS[reader](run)
        assert not run.finished
        return
    if reader == "settings" and form == SUMS:  # as in a run that is not finished
        assert READERS[reader](run) == settings("blobs")
        return
    with refused(f"{form}|not finished|run blobs has no report|run blobs: not found"):
        READERS[reader](run)


COMMANDS: dict[str, list[Any]] = {
    "evolve again": ["evolve", *options(settings("blobs")), "--run-name", "blobs", "--resume"],
    "evolve on its grid": ["evolve", *options(settings("stripes")), "--grid", "blobs"],
    "joint-eval": ["joint-eval", "blobs"],
    "bundle": ["bundle", "blobs", "--out", "OUT"],
    "plot": ["plot", "blobs"],
    "results": ["results", "blobs", "--evidence", "OUT"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_a_damaged_run_in_one_line(run, tmp_path, command):
    content = bytearray(run.expert_file.read_bytes())
    content[-3] ^= 4  # in a weight: the file still loads
    run.expert_file.write_bytes(content)
    arguments = [tmp_path / "out" if one == "OUT" else one for one in COMMANDS[command]]
    ended = pathsearch(*arguments, "--runs-dir", tmp_path, "--data-dir", data_dir())
    assert ended.code == 2, ended
    assert "blobs/expert.safetensors: differs from its digest in SHA256SUMS" in ended.err
    assert ended.err.count("\n") == 1, ended
    assert not (tmp_path / "out").exists()


# --- runs of earlier versions ---------------------------------------------------------------------------------------


def test_a_run_of_an_earlier_version_is_read_and_said_to_be_one(run):
    earlier(run)
    assert run.finished
    for read in READERS.values():
        read(run)
    assert unsealed([run]) == [f"run blobs: of an earlier version, without {SUMS}: damage to its files would go unseen"]


def test_a_lost_digest_file_makes_no_earlier_version(run):
    run.sums_file.unlink()
    assert not run.finished
    with refused(r"run blobs: not finished \(or its SHA256SUMS was lost\); go on with it: .*--resume"):
        run.verify()


@pytest.mark.parametrize("form", ["config.json", "report.json"])
def test_a_mutant_of_an_earlier_version_is_never_a_traceback(run, form):
    earlier(run)
    file, rng = run.folder / form, random.Random(form)
    content, believed = file.read_bytes(), 0
    for mutant in [*mutants(content, rng, MUTANTS), *json_mutants(content, rng, MUTANTS)]:
        file.write_bytes(mutant)
        for read in READERS.values():
            try:
                read(run)
                believed += 1
            except PathsearchError as error:
                said = str(error)
            else:
                continue
            assert "\n" not in said
    assert believed, "which is what digests are for"


def test_the_whole_runs_of_the_session_are_still_whole():
    for name in ("blobs", "stripes"):
        finished(name)
        find_run(runs_dir(), name).verify()
    assert isinstance(runs_dir(), Path)
