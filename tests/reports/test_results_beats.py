"""AAMI's classes: sensitivities and predictive values against arithmetic by hand."""

from __future__ import annotations

import pytest
from written_reports import run_report, write_run

from pathsearch.reports.evidence import read_evidence
from pathsearch.reports.results_beats import AAMI, beats_section, class_rates, mean_sensitivity
from pathsearch.reports.results_rows import rows_of

#             said N  S   V  F
CONFUSION = [[80, 10, 10, 0], [5, 15, 0, 0], [2, 0, 18, 0], [3, 0, 1, 1]]  # 100 N, 20 S, 20 V, 5 F


def section(tmp_path, *runs):
    for number, report in enumerate(runs):
        write_run(tmp_path / str(number), report)
    return beats_section(rows_of(read_evidence(tmp_path)[0]))


def beats(confusion=CONFUSION, seed=0, split="ds1-ds2"):
    return run_report("ecg", split, list(AAMI), confusion, seed)


def line(text, *starts):
    """The cells of the one line that begins so."""
    (found,) = [row for row in text.splitlines() if row.startswith("| " + " | ".join(starts) + " |")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_rates_by_hand():
    rates = class_rates(AAMI, CONFUSION)
    # rows: 80/100, 15/20, 18/20, 1/5; columns: 80/(80+5+2+3), 15/(10+15), 18/(10+18+1), 1/1
    assert [rates[name].sensitivity for name in AAMI] == pytest.approx([0.8, 0.75, 0.9, 0.2])
    assert [rates[name].predictive_value for name in AAMI] == pytest.approx([80 / 90, 0.6, 18 / 29, 1.0])
    assert mean_sensitivity(rates, AAMI[:3]) == pytest.approx((0.8 + 0.75 + 0.9) / 3)
    assert mean_sensitivity(rates, AAMI) == pytest.approx(2.65 / 4)


def test_an_unknown_is_missed_but_nobody_s_answer():
    rates = class_rates(["a", "b"], [[6, 2, 2], [0, 5, 5]])  # the last column is "unknown"
    assert (rates["a"].sensitivity, rates["a"].predictive_value) == (0.6, 1.0)
    assert (rates["b"].sensitivity, rates["b"].predictive_value) == (0.5, 5 / 7)


def test_a_class_without_images_or_answers_has_no_rate():
    rates = class_rates(["a", "b"], [[3, 0], [0, 0]])
    assert rates["b"].sensitivity is None
    assert rates["b"].predictive_value is None
    assert mean_sensitivity(rates, ["a", "b"]) is None, "a mean over fewer classes is another number"


def test_the_table_has_published_numbers_first_and_ours_by_the_same_means(tmp_path):
    text = section(tmp_path, beats())
    assert text.index("de Chazal 2004") < text.index("Mondéjar-Guerra 2019") < text.index("E1: evolved path")
    assert "https://doi.org/10.1109/TBME.2004.827359" in text
    assert "https://doi.org/10.1016/j.bspc.2018.08.007" in text
    own = line(text, "E1: evolved path")
    # accuracy (80 + 15 + 18 + 1) / 145, the hand-made interval 0.01 to either side
    assert own[-3:] == ["0.7862 (0.7762, 0.7962)", "0.8167", "0.6625"]
    assert line(text, "E1: linear probe")[-3:] == ["0.7793", "0.8133", "0.6600"]  # N: 79 of 100
    # Wilson for 15 of 20, z = 1.96: centre (0.75 + 3.8415/40) / (1 + 3.8415/20) = 0.7097, half width 0.1784
    assert line(text, "E1", "S")[2:] == ["20", "0.7500 (0.5313, 0.8881)", "0.6000 (0.4074, 0.7660)"]
    assert line(text, "E1", "F")[2:] == ["5", "0.2000 (0.0362, 0.6245)", "1.0000 (0.2065, 1.0000)"]


def test_an_expert_that_is_the_probe_has_one_row(tmp_path):
    text = section(tmp_path, {**beats(), "path": "probe"})
    assert [row for row in text.splitlines() if "E1: linear probe" in row] == []
    assert line(text, "E1: evolved path, the linear probe")[-2:] == ["0.8167", "0.6625"]


def test_over_seeds_there_is_a_spread(tmp_path):
    better = [[90, 5, 5, 0], *CONFUSION[1:]]
    text = section(tmp_path, beats(), beats(better, seed=1))
    assert line(text, "E1: evolved path")[3] == "0 and 1"
    assert line(text, "E1", "N")[3] == "0.8500 ± 0.0707"  # 0.8 and 0.9: mean 0.85, sd 0.1 / √2
    # means over N, S, V: 2.45/3 and 2.55/3; their mean 2.5/3, sd 0.1/3/√2
    assert line(text, "E1: evolved path")[-2] == "0.8333 ± 0.0236"


def test_other_splits_are_not_put_beside_published_numbers(tmp_path):
    text = section(tmp_path, beats(split="random"))
    assert "de Chazal" not in text
    assert "E1: evolved path" in text
