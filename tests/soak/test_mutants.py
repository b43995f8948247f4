"""Every form of file, damaged: the same result or one line; never a belief, a traceback, a hang or wasted memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import tally
from forms import FORMS, form_of
from judge import Judge
from mutants import LONG, QUICK, chosen_seed
from soak_world import pristine, world

from pathsearch import __version__

SEED = chosen_seed(__version__)
OURS = ("data", "runs", "bundle", "cut")  # folders of files that the product wrote
ALIKE = (  # files whose form is that of another: the second run, the second split, figures of one kind
    *("*.lock", "*.png", "*.svg", "*/report.html", "runs/joint-*/report.html", "*/stripes.safetensors"),
    *("runs/stripes/*", "runs/stripes/*/*", "runs/tensors/*", "runs/tensors/*/*", "runs/archive/*", "runs/archive/*/*"),
    *("data/stripes/*", "data/features/*", "data/features/stripes-*/*"),
    *("cut/*/*.csv", "cut/*/task.json", "cut/*/images.sha256", "runs/cut/*", "runs/compare-*/parts/*"),
)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    judge = Judge(world())
    yield judge
    judge.close()


def check(judge: Judge, form: str, numbers: range) -> None:
    verdicts = list(judge.judge(FORMS[form], SEED, numbers))
    tally.MUTANTS[form].update(verdict.outcome for verdict in verdicts)
    wrong = [verdict for verdict in verdicts if not verdict.right]
    assert not wrong, "\n".join(
        [
            f"{len(wrong)} of {len(verdicts)} mutants; one again: python tests/soak/again.py '{form}' NUMBER {SEED}",
            *map(str, wrong[:10]),
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_damaged(judge: Judge, form: str) -> None:
    check(judge, form, range(QUICK))


@pytest.mark.soak
@pytest.mark.parametrize("form", FORMS)
def test_damaged_in_many_ways(judge: Judge, form: str) -> None:
    check(judge, form, range(LONG))


@pytest.mark.slow
def test_every_file_that_is_written_has_a_form() -> None:
    origin = pristine(world())
    files = [file.relative_to(origin) for name in OURS for file in (origin / name).rglob("*") if file.is_file()]
    assert len(files) > 100
    new = [str(file) for file in files if not form_of(str(file)) and not any(file.match(one) for one in ALIKE)]
    assert not new, f"no form in forms.py for {new}"
