"""Judge some mutants from a shell: `python tests/soak/again.py FORM [NUMBER or COUNTx] [SEED]`, all forms for `all`."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]


def main(name: str, which: str = "60x", seed: str = "") -> None:
    from forms import FORMS
    from judge import OUTCOMES, Judge
    from mutants import chosen_seed
    from soak_world import world

    from pathsearch import __version__

    judge = Judge(world())
    numbers = range(int(which[:-1])) if which.endswith("x") else range(int(which), int(which) + 1)
    for form in FORMS.values() if name == "all" else [one for one in FORMS.values() if one.name.startswith(name)]:
        counts: Counter[str] = Counter()
        seconds = 0.0
        try:
            for verdict in judge.judge(form, int(seed or chosen_seed(__version__)), numbers):
                counts[verdict.outcome] += 1
                seconds += verdict.seconds
                if not verdict.right or len(numbers) == 1:
                    print(f"  {verdict}", flush=True)
        except RuntimeError as error:
            print(f"  harness: {error}")
            judge.close()
        told = "  ".join(f"{o} {counts[o]}" for o in OUTCOMES if counts[o])
        print(f"{form.name:<52}{seconds:6.1f} s  {told}", flush=True)
    judge.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
