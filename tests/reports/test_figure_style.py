"""Words on figures: counts in short, long names that keep their ends."""

from __future__ import annotations

from figure_checks import LONG

from pathsearch.reports.figure_style import compact, tidy


def test_counts_in_short():
    shorts = [
        (0, "0"),
        (950, "950"),
        (999.6, "1k"),
        (12_345, "12.3k"),
        (1e6, "1M"),
        (138_357_544, "138M"),
        (2e9, "2G"),
    ]
    assert [compact(count) for count, _ in shorts] == [short for _, short in shorts]


def test_long_names_keep_their_ends():
    assert tidy("PNEUMONIA", 12) == "PNEUMONIA"
    assert tidy("pneumonia: PNEUMONIA", 12) == "pneumo…MONIA"
    assert tidy("pneumonia: PNEUMONIA", 12, lines=2) == "pneumonia:\nPNEUMONIA"
    for name in LONG:
        assert tidy(name, 12).endswith(name[-2:])
        assert max(map(len, tidy(name, 12, lines=2).split("\n"))) <= 12
    assert tidy("", 5) == ""
