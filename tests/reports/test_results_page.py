"""`pathsearch results`: a page that says what the files say, the same each time, and nothing of what is not there."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from command_world import pathsearch
from small_world import refused
from written_reports import comparison_report, config_of, ecg, joint_report, pneumonia, run_report, write_all, write_run

from data_prep.whole_files import write_json, write_text
from pathsearch.experts.markdown import escaped, link, table
from pathsearch.reports.evidence import read_evidence
from pathsearch.reports.evidence_copy import KEPT
from pathsearch.reports.results_page import write_results
from pathsearch.reports.results_rows import encoder_in_words, rows_of, seeds_in_words, spread

DOCS = Path(__file__).parents[2] / "docs"
GOLDEN = Path(__file__).parents[1] / "golden" / "results.md"


def page_of(evidence: Path) -> str:
    write_results(evidence, evidence.parent / "results.md")
    return (evidence.parent / "results.md").read_text(encoding="utf-8")


def lines(text: str, start: str) -> list[list[str]]:
    """The cells of every table line whose first cells are these."""
    found = [row for row in text.splitlines() if row.startswith(f"| {start}")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in found]


# --- the whole page -------------------------------------------------------------------------------------------------


def test_the_page_of_hand_made_reports_is_as_it_was(tmp_path):
    """After a change that is meant, remove the file: the next run writes it again and fails once."""
    text = page_of(write_all(tmp_path / "evidence"))
    if not GOLDEN.is_file():
        write_text(GOLDEN, text)
        pytest.fail(f"{GOLDEN} is written; read it before it is committed")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_the_same_files_give_the_same_bytes_whatever_order_they_were_made_in(tmp_path):
    first = page_of(write_all(tmp_path / "a" / "evidence"))
    write_run(tmp_path / "b" / "evidence" / "trunk" / "pneumonia-official-s0", pneumonia())
    assert page_of(write_all(tmp_path / "b" / "evidence")) == first
    assert page_of(tmp_path / "b" / "evidence") == first
    assert str(tmp_path) not in first


def test_links_lead_to_the_evidence(tmp_path):
    text = page_of(write_all(tmp_path / "evidence"))
    links = re.findall(r"\]\((evidence/[^)]+)\)", text)
    assert len(set(links)) == 9
    assert all((tmp_path / one).is_file() for one in links)


@pytest.mark.parametrize(
    ("write", "there", "not_there"),
    [
        (
            lambda d: write_run(d / "r", ecg()),
            ["The paper's tables", "Every run"],
            ["Joint", "ECG by", "Other", "search pay"],
        ),
        (
            lambda d: write_run(d / "r", run_report("x", "random", ["c", "d"], [[3, 1], [1, 3]])),
            ["Other"],
            ["The paper's"],
        ),
        (lambda d: write_run(d / "r", run_report("e", "ds1-ds2", ["A", "L"], [[3, 1], [1, 3]])), ["ECG by"], ["AAMI"]),
        (
            lambda d: write_json(d / "j" / "report.json", joint_report({"x": pneumonia()}, {"x": "x-s0"})),
            ["Joint"],
            ["The paper's", "Every run"],
        ),
    ],
)
def test_a_section_without_evidence_is_left_out(tmp_path, write, there, not_there):
    write(tmp_path / "evidence")
    titles = re.findall("^##+ (.*)", page_of(tmp_path / "evidence"), re.MULTILINE)
    for word in there:
        assert any(word in title for title in titles), titles
    for word in [*not_there, "Left out"]:
        assert not any(word in title for title in titles), titles


@pytest.mark.parametrize("folds", [1, 3])
def test_a_row_says_where_cross_validation_chose(tmp_path, folds):
    words = "480 training and validation images in 3 parts" if folds > 1 else "96 validation images"
    write_run(tmp_path / "evidence" / "r", {**ecg(), "choice": {"folds": folds, "images": 480, "in_words": words}})
    text = page_of(tmp_path / "evidence")
    assert (f"path chosen on: {words}" in text) == (folds > 1)


def test_a_row_says_where_the_expert_is_the_probe(tmp_path):
    write_run(tmp_path / "evidence" / "a", {**ecg(), "path": "probe"})
    write_run(tmp_path / "evidence" / "b", ecg(1))
    text = page_of(tmp_path / "evidence")
    assert "evolved path: the linear probe itself, in 1 of 2 runs" in text
    assert "E1: evolved path |" in text
    write_run(tmp_path / "evidence" / "b", {**ecg(1), "path": "probe"})
    text = page_of(tmp_path / "evidence")
    assert "E1: evolved path, the linear probe |" in text
    assert "beside the linear probe the same network in E1" in text


def test_an_unfinished_run_is_named_and_left_out(tmp_path):
    write_run(tmp_path / "evidence" / "ecg-random-s0", ecg())
    write_json(tmp_path / "evidence" / "ecg-random-s1" / "config.json", config_of(ecg(1)))
    text = page_of(tmp_path / "evidence")
    assert "Without a report.json, so not finished: ecg-random-s1." in text
    assert lines(text, "E1: ") == []
    assert [row[4] for row in lines(text, " | E1: evolved path")] == ["0"]


def test_names_cannot_break_the_page(tmp_path):
    evil = run_report("a|b<script>", "random", ["<b>|", "[x](y)"], [[3, 1], [1, 3]], path="1|2|3")
    write_run(tmp_path / "evidence" / "a b", evil)
    text = page_of(tmp_path / "evidence")
    assert r"a\|b\<script\>: \<b\>\|, \[x\](y)" in text
    assert "evidence/a%20b/report.json" in text
    prose = "".join(text.split("```")[::2])
    assert "<script" not in prose.replace(r"\<script", "")


# --- what is committed ----------------------------------------------------------------------------------------------


def test_the_committed_page_is_that_of_the_committed_evidence(tmp_path):
    shutil.copytree(DOCS / "evidence", tmp_path / "evidence")
    said = "after `make results`: the page, or what it is written from, was changed alone"
    assert page_of(tmp_path / "evidence") == (DOCS / "results.md").read_text(encoding="utf-8"), said


def test_the_committed_evidence_is_small_and_has_nothing_of_a_machine_or_an_image():
    files = [file for file in (DOCS / "evidence").rglob("*") if file.is_file()]
    assert {file.name for file in files} <= {*KEPT, "task.json"}
    assert max(file.stat().st_size for file in files) < 150_000, "a comparison over ten seeds"
    for file in files:
        barred = re.search(r"(?i)\"(/|~/|[a-z]:\\\\)|\.(png|jpe?g|dcm)|data:image", file.read_text(encoding="utf-8"))
        assert barred is None, f"{file}: {barred}"


# --- rows -----------------------------------------------------------------------------------------------------------


def test_runs_that_agree_in_all_but_the_seed_are_one_row(tmp_path):
    for seed, right in enumerate((90, 92, 94)):
        write_run(tmp_path / f"ecg-random-s{seed}", ecg(seed, right))
    write_run(tmp_path / "before" / "ecg-random-s0", ecg())
    row, single = rows_of(read_evidence(tmp_path)[0])
    assert (row.label, row.seeds) == ("E1", "0 to 2"), "most seeds first"
    assert (single.label, single.seeds) == ("E2", "0")
    # accuracy (right + 100) / 200: 0.95, 0.96, 0.97
    assert row.tested("accuracy") == "0.9600 ± 0.0100"
    assert row.baseline("linear_probe") == "0.9550 ± 0.0100"
    assert row.baseline("random_path") == "0.5000 ± 0.0000"
    assert row.answer("linear_probe") == "no difference shown", "three seeds allow no test"
    assert row.commands() == [
        "for seed in 0 1 2; do",
        "  pathsearch evolve --task ecg --encoder vgg16 --encoder-weights random --image-size 64 --seed $seed",
        "done",
    ]


def test_one_seed_has_its_interval_and_one_command_in_its_place(tmp_path):
    write_run(tmp_path / "my trunk" / "pneumonia-official-s0", pneumonia())
    (row,) = rows_of(read_evidence(tmp_path)[0])
    assert row.tested("accuracy") == "0.8200 (0.8100, 0.8300)"  # 41 of 50
    assert row.baseline("full_grid") == "0.8400"
    (command,) = row.commands()
    assert command.endswith("--threshold sensitivity:0.95 --seed 0 --runs-dir 'runs/my trunk'")
    assert "--encoder-weights trunk.safetensors" in command, "without its folder"


@pytest.mark.parametrize(
    "other",
    [
        {"settings": {"grown_from": "x-s0"}},
        {"report": {"data": "other-images"}},
        {"report": {"encoder": {**ecg()["encoder"], "key": "other", "image_size": 128}}},
        {"report": {"threshold": {"rule": "balanced", "value": None}}},
        {"folder": "elsewhere/b"},
    ],
)
def test_any_other_difference_makes_another_row(tmp_path, other):
    write_run(tmp_path / "a", ecg(0))
    write_run(tmp_path / other.get("folder", "b"), ecg(1, **other.get("report", {})), **other.get("settings", {}))
    assert [row.seeds for row in rows_of(read_evidence(tmp_path)[0])] in (["0", "1"], ["1", "0"])


def test_the_same_seed_twice_is_refused(tmp_path):
    write_run(tmp_path / "a", ecg(0))
    write_run(tmp_path / "b", ecg(0, 92))
    with refused("/a and .*/b: the same settings and seed 0 twice; remove one"):
        rows_of(read_evidence(tmp_path)[0])


@pytest.mark.parametrize(
    ("seeds", "words"),
    [([], "–"), ([3], "3"), ([0, 1], "0 and 1"), ([2, 0, 1], "0 to 2"), ([0, 2, 5], "0, 2 and 5")],
)
def test_seeds_in_words(seeds, words):
    assert seeds_in_words(seeds) == words


def test_spread_by_hand():
    assert spread([0.8, 0.9]) == "0.8500 ± 0.0707"
    assert spread([0.8], [0.7, 0.9]) == "0.8000 (0.7000, 0.9000)"
    assert spread([0.8]) == "0.8000"
    assert spread([None, None]) == spread([]) == "–"


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("random (He, seed 0)", "vgg16, random weights, 64 px"),
        ("ImageNet (torchvision IMAGENET1K_V1)", "vgg16, ImageNet weights, 64 px"),
        ("file imagenet.pth (sha256 0123)", "vgg16, weights from a file, 64 px"),
        ("something new", "vgg16, weights something new, 64 px"),
    ],
)
def test_only_imagenet_weights_are_called_so(weights, words):
    assert encoder_in_words({"name": "vgg16", "weights": weights, "image_size": 64}) == words


def test_maps_and_precision_are_told_where_they_are_known():
    about = {"name": "vgg16", "weights": "random", "image_size": 64, "feature_shape": [512, 2, 2]}
    assert encoder_in_words({**about, "precision": "float32"}) == "vgg16, random weights, 64 px, 2×2 maps"
    assert encoder_in_words({**about, "precision": "bfloat16"}).endswith("64 px, 2×2 maps, bfloat16")


# --- the paper's rows -----------------------------------------------------------------------------------------------


def test_the_paper_s_numbers_stand_beside_ours(tmp_path):
    text = page_of(write_all(tmp_path / "evidence"))
    assert [row[5:7] for row in lines(text, "ECG, classes A, L, R: ")] == [["0.965", "0.968"], ["0.72", "0.56"]]
    assert [row[5:7] for row in lines(text, "pneumonia: ")] == [["0.88", "0.76"], ["0.48", "0.48"]]
    assert [row[5:7] for row in lines(text, "joint, ")] == [["0.97", "0.97"], ["0.85", "0.73"], ["0.93", "0.88"]]
    assert "https://doi.org/10.46354/i3m.2020.iwish.004" in text
    (own,) = lines(text, " | P1: evolved path")
    assert own[2:6] == [
        "squeezenet1_1, weights from a file, 224 px",
        "official; 50 of the published 624",
        "0",
        "0.8200 (0.8100, 0.8300)",
    ]


def test_other_classes_and_splits_are_not_the_paper_s(tmp_path):
    write_run(
        tmp_path / "evidence" / "a", run_report("ecg", "ds1-ds2", ["A", "L", "R"], [[5, 1, 0], [1, 5, 0], [0, 1, 5]])
    )
    text = page_of(tmp_path / "evidence")
    assert "The paper's tables" not in text
    assert lines(text, "E1 | ecg: A, L, R")


def test_rows_say_better_worse_or_no_difference_by_their_own_test(tmp_path):
    def report(p: float, difference: float) -> dict:
        row = {"difference": difference, "p": p, "test": "sign flips by group", "groups": 22}
        several = {"each": [row, {**row, "p": 0.9}]}
        return {
            "paired": {"linear_probe": row, "full_grid": {**row, "difference": -difference}, "random_path": several}
        }

    write_run(tmp_path / "evidence" / "a", ecg(**report(0.01, 0.1)))
    write_run(tmp_path / "evidence" / "b" / "a", ecg(0, 91, **report(0.3, 0.1)))
    text = page_of(tmp_path / "evidence")
    assert "beside the linear probe better in E1, no difference shown in E2" in text
    assert "beside random paths no difference shown in E1, E2" in text, "one of two random paths is no answer for both"
    assert "beside the full grid worse in E1, no difference shown in E2" in text


def test_five_seeds_are_tested_over_seeds(tmp_path):
    """Probe one image of 200 fewer right at each seed but one, full grid one more at each: equal gaps allow no test."""
    for seed, right in enumerate((90, 92, 94, 91, 93)):
        report = ecg(seed, right)
        report["baselines"]["linear_probe"]["test"]["accuracy"] -= 0.05 + 0.001 * seed
        write_run(tmp_path / f"r{seed}", report)
    (row,) = rows_of(read_evidence(tmp_path)[0])
    assert row.answer("linear_probe") == "better"
    assert row.answer("full_grid") == "no difference shown"


def test_what_was_made_before_corrections_is_said_until_nothing_is(tmp_path):
    made = {"intervals": {"method": "by image", "groups": None}}
    write_run(tmp_path / "evidence" / "old", ecg())
    text = page_of(tmp_path / "evidence")
    assert "1 of the 1 reports are of an earlier form" in text
    assert "with these corrections: nothing yet." in text
    write_run(tmp_path / "evidence" / "new", ecg(1, **made))
    text = page_of(tmp_path / "evidence")
    assert "1 of the 2 reports are of an earlier form" in text
    assert "with these corrections: [new](evidence/new/report.json)." in text
    write_run(tmp_path / "evidence" / "old", ecg(**made))
    assert "earlier form" not in page_of(tmp_path / "evidence")


# --- comparisons and the command ------------------------------------------------------------------------------------


def test_a_comparison_has_its_methods_its_words_and_its_command(tmp_path):
    text = page_of(write_all(tmp_path / "evidence"))
    (row,) = lines(text, "ladder")
    assert row[1:] == ["0.9000 ± 0.0100", "0.9000 ± 0.0100", "0.9000 ± 0.0100", "0.9500", "1,500 ± 2", "61"]
    assert "- On test, no difference between the evolved path and the ladder is shown: accuracy 0.9000" in text
    assert "seed by seed: 0.40 (n = 12), 0.50 (n = 11)." in text
    assert (
        "pathsearch compare --task ecg --seeds 2 --encoder vgg16 --encoder-weights random --image-size 64 --set" in text
    )
    assert comparison_report()["methods"]["ladder"]["name"] in text


def test_the_command_adds_runs_and_writes_the_page(tmp_path):
    run = write_run(tmp_path / "runs" / "trunk" / "pneumonia-official-s0", pneumonia())
    write_json(tmp_path / "runs" / "late" / "config.json", config_of(ecg()))
    where = ["--evidence", tmp_path / "docs" / "evidence", "--out", tmp_path / "docs" / "results.md"]
    done = pathsearch("results", "trunk/pneumonia-official-s0", "--runs-dir", tmp_path / "runs", *where, "--json")
    assert done.code == 0, done
    said = json.loads(done.out)
    assert said["evidence"] == ["trunk/pneumonia-official-s0"]
    assert (tmp_path / "docs" / "results.md").is_file()
    assert run.is_dir()
    done = pathsearch("results", "late", "--runs-dir", tmp_path / "runs", *where)
    assert done.code == 2
    assert re.search("error: run .*late: not finished", done.err), done


# --- Markdown -------------------------------------------------------------------------------------------------------


def test_markdown_by_hand():
    assert table(["a", "b"], [["1", escaped("x|y\nz")]]) == "| a | b |\n| --- | --- |\n| 1 | x\\|y z |"
    assert link("a_b]", "e/a+b c(1)") == "[a_b\\]](e/a+b%20c%281%29)"
