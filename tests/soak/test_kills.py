"""Commands killed at any change of the disk and given again: the same result, nothing lost, no litter."""

from __future__ import annotations

import pytest
import tally
from kills import SCENARIOS, kill
from mutants import chosen_seed

from pathsearch import __version__

SEED = chosen_seed(__version__)
LONG = {"evolve": 12, "evolve --overwrite": 12, "compare": 10, "joint-eval": 6, "bundle --overwrite": 8}
FEW = 5  # of the other commands


def check(name: str, kills: int) -> None:
    found = [kill(name, SEED, number, kills) for number in range(kills)]
    tally.KILLS[name].update("wrong" if one.faults else "right" for one in found)
    wrong = [f"{one.scenario}, {one.moment}: {'; '.join(one.faults)}" for one in found if one.faults]
    assert not wrong, "\n".join([f"{len(wrong)} of {kills} kills, seed {SEED}", *wrong])


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_once(name: str) -> None:
    check(name, 1)


@pytest.mark.soak
@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_many_moments(name: str) -> None:
    check(name, LONG.get(name, FEW))


def test_enough_kills() -> None:
    assert sum(LONG.get(name, FEW) for name in SCENARIOS) >= 100
