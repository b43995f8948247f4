"""What was found in this session, for the table at its end."""

from __future__ import annotations

from collections import Counter, defaultdict

from judge import OUTCOMES

MUTANTS: dict[str, Counter[str]] = defaultdict(Counter)
KILLS: dict[str, Counter[str]] = defaultdict(Counter)


def lines() -> list[str]:
    """Forms, mutants and outcomes; commands, kills and outcomes."""
    told = []
    if MUTANTS:
        told.append(f"{'form':<52}{'mutants':>8}  " + "".join(f"{outcome:>11}" for outcome in OUTCOMES))
        for form, counts in [*MUTANTS.items(), ("all", sum(MUTANTS.values(), Counter()))]:
            told.append(f"{form:<52}{counts.total():>8}  " + "".join(f"{counts[one] or '':>11}" for one in OUTCOMES))
    if KILLS:
        told.append(f"{'command':<52}{'kills':>8}  {'right':>11}{'wrong':>11}")
        for command, counts in [*KILLS.items(), ("all", sum(KILLS.values(), Counter()))]:
            told.append(f"{command:<52}{counts.total():>8}  {counts['right']:>11}{counts['wrong'] or '':>11}")
    return told
