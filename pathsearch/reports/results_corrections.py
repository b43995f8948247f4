"""Which numbers of the results page were made before corrections, read from the fields of their reports."""

from __future__ import annotations

from collections.abc import Sequence

from pathsearch.reports.evidence import Evidence
from pathsearch.reports.results_tasks import evidence_link

CORRECTED = (
    "intervals and paired tests counted images as independent, several of one patient too; now they are over groups "
    "where groups are known",
    "a path was chosen within one binomial standard error of the best accuracy, whatever the measure, and that error "
    "was 0 where all was right; now it is the error of the difference from the best, in the measure that was maximised",
    "`compare` gave its methods the same number of images, not of path-images, so that their budgets differed",
    "mutation added modules more often than it dropped them, so that paths grew without selection",
)


def corrections(found: Sequence[Evidence[object]], address: str) -> list[str]:
    """A note on the reports of an earlier form, which have no `intervals`, and the list of those made since.

    Args:
        found: all evidence.
        address: of the evidence folder, from the page.
    """
    later = [one for one in found if isinstance(one.report, dict) and "intervals" in one.report]
    if len(later) == len(found):
        return []
    listed = "; ".join(f"{number}. {words}" for number, words in enumerate(CORRECTED, 1))
    again = ", ".join(evidence_link(one, address) for one in later) or "nothing yet"
    return [
        "## Made before corrections",
        f"{len(found) - len(later)} of the {len(found)} reports are of an earlier form (without `intervals`) and keep "
        f"their numbers; the words about them are today's. Since then was corrected: {listed}. Tests of single runs in "
        "earlier reports are McNemar's, of accuracy, image by image: where images come in groups, their p are too "
        f"small. Made again, or for the first time, with these corrections: {again}.",
    ]
