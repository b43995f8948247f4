"""Tests of the harness: each fault that it looks for is planted once and must be found."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import judge as judging
import kills
import planted
import pytest
import tally
from forms import FORMS
from interrupted import Moment
from judge import Judge, Verdict
from kills import SCENARIOS, Scenario, files, fresh, kill, litter, never_killed, run
from mutants import STRUCTURE, Mutant, applied, chosen_seed, mutant, structure_of
from soak_world import pristine, world

pytestmark = pytest.mark.slow
FEW = range(12)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    judge = Judge(world())
    yield judge
    judge.close()


def outcomes(judge: Judge, read: Callable[[], bytes], numbers: range = FEW, **options: bool) -> list[str]:
    return [verdict.outcome for verdict in judge.judge(planted.planted(read, **options), 7, numbers)]


def test_a_believing_reader_is_found(judge):
    assert set(outcomes(judge, planted.believing)) == {"believed"}
    assert set(outcomes(judge, planted.believing, kept=False)) == {"accepted"}


def test_a_careful_reader_is_right(judge):
    assert set(outcomes(judge, planted.careful)) == {"refused"}
    assert set(outcomes(judge, planted.indifferent)) == {"same"}


def test_a_damaged_file_may_count_as_none_only_where_it_may_be_missing(judge):
    assert set(outcomes(judge, planted.forgiving, optional=True)) == {"same"}
    assert set(outcomes(judge, planted.forgiving)) == {"believed"}
    assert "believed" in outcomes(judge, planted.believing, optional=True)


def test_a_traceback_is_found_with_its_place(judge):
    found = [v for v in judge.judge(planted.planted(planted.careless), 7, FEW) if v.outcome == "traceback"]
    assert found
    assert "JSONDecodeError" in found[0].about or "KeyError" in found[0].about or "Error" in found[0].about
    assert not any(verdict.right for verdict in found)


@pytest.mark.parametrize(
    ("read", "outcome"),
    [
        (planted.greedy, "memory"),
        (planted.greedy_for_a_moment, "memory"),
        (planted.endless, "slow"),
        (planted.dying, "crashed"),
        (planted.unpickling, "unpickled"),
    ],
)
def test_waste_hangs_and_deaths_are_found(judge, read, outcome):
    assert outcomes(judge, read, range(1)) == [outcome]
    assert outcomes(judge, planted.indifferent, range(1)) == ["same"], "the next worker goes on"


def test_a_result_that_changes_by_itself_is_no_oracle(judge):
    with pytest.raises(RuntimeError, match="the whole file gives"):
        outcomes(judge, planted.wandering)


def test_the_folder_is_as_before_after_each_mutant(judge):
    before = {file: file.read_bytes() for file in world().rglob("*") if file.is_file()}
    outcomes(judge, planted.careful)
    assert {file: file.read_bytes() for file in world().rglob("*") if file.is_file()} == before


# --- mutants -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS.values(), ids=lambda form: form.name)
def test_mutants_differ_from_the_file_and_come_again(form, monkeypatch):
    monkeypatch.chdir(pristine(world()))
    file = form.file()
    data = file.read_bytes()
    assert structure_of(file.name) or file.suffix == ".dat", f"{file.name} has no structure"

    def series(seed: int) -> list[Mutant]:
        return [mutant(form.name, file.name, data, seed, number) for number in range(30)]

    found = series(3)
    assert all(one.data != data for one in found)
    assert found == series(3) != series(4)
    assert len({one.words for one in found}) > 10


def test_structures_are_damaged_in_every_way(monkeypatch):
    """Each mutation of a structure finds a hold in some file of the world."""
    monkeypatch.chdir(pristine(world()))
    files = [form.file(number) for form in FORMS.values() for number in range(len(form.patterns))]
    for suffix, mutations in STRUCTURE.items():
        contents = [file.read_bytes() for file in files if structure_of(file.name) is mutations]
        for mutation in mutations:
            found = [(applied(mutation, data, Random(n))[1], data) for data in contents for n in range(20)]
            assert any(changed != data for changed, data in found), (suffix, mutation)


def test_a_release_has_its_own_seed(monkeypatch):
    monkeypatch.delenv("SOAK_SEED", raising=False)
    assert chosen_seed("1.0.0") == chosen_seed("1.0.0") != chosen_seed("1.0.1")
    monkeypatch.setenv("SOAK_SEED", "12")
    assert chosen_seed("1.0.0") == 12


def test_a_wrong_verdict_says_how_to_get_it_again():
    told = str(Verdict("run: log.csv", 5, 31, "row 2 twice", "believed", "plot blobs: another result"))
    assert all(part in told for part in ("run: log.csv", "number 31", "seed 5", "row 2 twice", "believed"))
    assert Mutant("removed", None).data is None


def test_the_table_counts(monkeypatch):
    monkeypatch.setattr(tally, "MUTANTS", {"a": tally.Counter(same=2, believed=1)})
    monkeypatch.setattr(tally, "KILLS", {"evolve": tally.Counter(right=3, wrong=1)})
    text = "\n".join(tally.lines())
    assert "believed" in text
    assert all(f" {number}" in text for number in (2, 3, 1, 4))
    assert judging.RIGHT == ("same", "refused", "accepted")


# --- kills ---------------------------------------------------------------------------------------------------------

PREPARE = SCENARIOS["prepare csv"]


def test_a_process_ends_at_its_moment():
    changes = never_killed("prepare csv")[0]
    last = next(n for n, change in enumerate(changes, 1) if re.search(r"^rename .*/out/new$", change))
    for number in (1, last):  # a process ends before the change that it was about to make
        folder = fresh(PREPARE)
        assert run(PREPARE.arguments, folder, Moment(number)) is None
        assert not (folder / "out" / "new").exists()
    assert run(PREPARE.arguments, fresh(PREPARE), Moment(len(changes) + 1)) is not None
    assert run(PREPARE.arguments, fresh(PREPARE), Moment(renamed_to="manifest.csv", sent=signal.SIGKILL)) is None


def test_a_command_that_goes_on_from_something_else_is_found(monkeypatch):
    changed = Scenario("prepare csv", PREPARE.arguments, PREPARE.needs, PREPARE.results, again=(("--seed", "3"),))
    never_killed("prepare csv")
    monkeypatch.setitem(SCENARIOS, "prepare csv", changed)
    monkeypatch.setattr(kills, "Random", lambda text: type("Early", (), {"random": lambda self: 0.0})())
    found = kill("prepare csv", 0, 0, 1)
    assert "given again: another result" in found.faults, found


def test_litter_is_told_from_files(tmp_path: Path):
    for name in (".lock", "view0.part", ".hidden", "a/.old-fashioned"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert not litter(tmp_path)
    for name in (".log.csv.x1.part.csv", ".new.part-7", ".bundle.a.old", ".new.old-8"):
        (tmp_path / name).touch()
    assert len(litter(tmp_path)) == 4
    assert files(tmp_path) == {".lock", "view0.part", ".hidden", "a/.old-fashioned"}


def test_states_that_are_neither_old_nor_new_are_found(monkeypatch):
    name = "prepare csv --overwrite"
    never_killed(name)
    whole = SCENARIOS[name]
    torn = Scenario(name, whole.arguments, whole.needs, whole.results, whole.before, whole=lambda folder: "torn")
    monkeypatch.setitem(SCENARIOS, name, torn)
    found = kill(name, 0, 0, 1)
    assert any("neither old nor new" in fault for fault in found.faults), found
