"""Kill some commands from a shell: `python tests/soak/kill_again.py COMMAND [COUNT] [SEED]`, all commands for `all`."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]


def main(name: str, count: str = "5", seed: str = "") -> None:
    from kills import SCENARIOS, kill, never_killed
    from mutants import chosen_seed

    from pathsearch import __version__

    for scenario in SCENARIOS if name == "all" else [one for one in SCENARIOS if one == name]:
        try:
            seconds = never_killed(scenario)[-1]
        except AssertionError as error:
            print(f"{scenario}: cannot be given at all: {error}", flush=True)
            continue
        found = [kill(scenario, int(seed or chosen_seed(__version__)), n, int(count)) for n in range(int(count))]
        print(f"{scenario:<30} {seconds:5.1f} s, {len(found)} kills, {sum(bool(k.faults) for k in found)} wrong")
        for one in found:
            if one.faults:
                print(f"  {one.moment}: {'; '.join(one.faults)}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
