"""Masks, boxes and whole images on the results page: numbers by hand, published ones above, networks by their names."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from command_world import pathsearch
from dense_world import dense_data, train
from small_world import refused
from written_reports import FROM_PIXELS, ecg, joint_report, measured, other_report, run_report, write_run

from data_prep.whole_files import write_json
from pathsearch.reports.evidence import read_evidence
from pathsearch.reports.evidence_copy import KEPT, add
from pathsearch.reports.results_page import write_results
from pathsearch.reports.results_rows import rows_of
from pathsearch.reports.results_tasks import _given
from pathsearch.run.runs import read_json

SOURCE = "Shenzhen chest X-rays for training and validation, Montgomery County chest X-rays for the test"
MASKS = {"dice": 0.9, "iou": 0.8, "pixel_accuracy": 0.97, "mcc": 0.85, "hausdorff95": 4.5}


def masks(seed: int = 0, n_without: int = 0, **changes: Any) -> dict[str, Any]:
    """Dice 0.9, 0.91 …; so many images without a distance."""
    test = measured("mask", {**MASKS, "dice": 0.9 + 0.01 * seed}, **({"hausdorff95": n_without} if n_without else {}))
    return other_report("mask", test, seed, **changes)


def images(**changes: Any) -> dict[str, Any]:
    return other_report("image", measured("image", {"ssim": 0.8, "psnr": 31.254, "ms_ssim": None}), **changes)


def prepared(folder: Path, source: str) -> None:
    about = {"name": "lungs", "licence": "free", "counts": {}, "split": {"name": "official", "words": "as it was"}}
    write_json(folder / "task.json", {**about, "source": source, "options": {"image_size": 64}})


def page_of(evidence: Path) -> str:
    write_results(evidence, evidence.parent / "results.md")
    return (evidence.parent / "results.md").read_text(encoding="utf-8")


def lines(text: str, start: str) -> list[list[str]]:
    """The cells of the table lines that begin so."""
    return [row.strip("| ").split(" | ") for row in text.splitlines() if row.startswith(f"| {start} | ")]


# --- tables ---------------------------------------------------------------------------------------------------------


def test_each_kind_has_a_table_with_every_measure(tmp_path):
    box = other_report("box", measured("box", {"iou": 0.75}))
    for name, report in (("a", masks()), ("b", box), ("c", images())):
        write_run(tmp_path / "evidence" / name, report)
    text = page_of(tmp_path / "evidence")
    titles = re.findall("^##+ (.*)", text, re.MULTILINE)
    assert titles == ["Masks, boxes and whole images", "Masks", "Boxes", "Whole images", "Every run"]
    about = ["lungs", "ums-rep", "pixels, 64 px", "official; 60", "0"]
    every = ["0.9000 (0.8900, 0.9100)", "0.8000 (0.7900, 0.8100)", "0.9700 (0.9600, 0.9800)", "0.8500 (0.8400, 0.8600)"]
    assert lines(text, "M1")[0] == ["M1", *about, *every, "4.50 (4.49, 4.51)", "0.5000", "1,000"]
    assert lines(text, "B1")[0] == ["B1", *about, "0.7500 (0.7400, 0.7600)", "0.5000", "1,000"]
    assert lines(text, "I1")[0] == [
        "I1",
        *about,
        "0.8000 (0.7900, 0.8100)",
        "31.25 (31.24, 31.26)",
        "–",
        "0.5000",
        "1,000",
    ]
    assert [row[2] for row in (lines(text, "M1") + lines(text, "B1") + lines(text, "I1"))[1::2]] == [
        "Dice",
        "IoU",
        "SSIM",
    ]
    assert (
        "| Dice | IoU | pixel accuracy | MCC | 95 % Hausdorff distance, px | linear probe, Dice | parameters |" in text
    )
    assert "pathsearch train --task lungs --blueprint ums-rep" in text
    assert lines(text, "published") == [], "nothing is like these"
    assert "[a](evidence/a/report.json)" in text
    assert "evolved path" not in text
    assert "weights: no weights" not in text


@pytest.mark.parametrize("taps", [[64, 32], None])
def test_stages_at_their_own_sizes_are_an_encoder(tmp_path, taps):
    own = {**FROM_PIXELS, "name": "vgg16", "weights": "random (He, seed 0)", "sizes": "own", "feature_shape": [57344]}
    write_run(tmp_path / "evidence" / "a", masks(encoder={**own, **({"taps": taps} if taps else {})}))
    (cell,) = {row[3] for row in lines(page_of(tmp_path / "evidence"), "M1") if len(row) > 10}
    assert cell == f"vgg16, random weights, 64 px, maps{' of 2 stages' if taps else ''} at their own sizes"


def test_over_seeds_there_is_a_spread_and_over_how_many_images_a_distance_is(tmp_path):
    for seed, n_without in enumerate((2, 0, 3)):
        write_run(tmp_path / "evidence" / f"lungs-official-s{seed}", masks(seed, n_without))
    text = page_of(tmp_path / "evidence")
    own = lines(text, "M1")[0]
    assert own[5:7] == ["0 to 2", "0.9100 ± 0.0100"]  # 0.90, 0.91, 0.92
    assert own[10] == "4.50 ± 0.00 over 57 to 60 of 60"
    assert own[-1] == "1,000 to 1,002"
    assert "for seed in 0 1 2; do\n  pathsearch train --task lungs" in text


def test_rows_on_runs_of_their_own_seed_are_one(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path / f"a{seed}", masks(seed, task="own"), grown_from=f"xrays-official-s{seed}")
        write_run(tmp_path / f"b{seed}", masks(seed, task="same"), grown_from="xrays-official-s0")
    own, same = sorted(rows_of(read_evidence(tmp_path)[0]), key=lambda row: row.report["task"])
    assert [own.seeds, same.seeds] == ["0 and 1", "0 and 1"]
    assert any("--grid xrays-official-s0" in line for line in same.commands())
    write_run(tmp_path / "c", masks(2, task="own"), grown_from="other-s2")
    assert len(rows_of(read_evidence(tmp_path)[0])) == 3


def test_names_of_runs_get_their_seed_in_the_command(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path / f"lungs-official-s{seed}", masks(seed), grown_from=f"xrays-official-s{seed}")
    (row,) = rows_of(read_evidence(tmp_path)[0])
    start, command, end = row.commands()
    assert (start, end) == ("for seed in 0 1; do", "done")
    assert "--grid xrays-official-s$seed --seed $seed" in command


@pytest.mark.parametrize("task", ["moles", "bones", "icons"])
def test_a_letter_of_other_targets_is_no_class_task_s(tmp_path, task):
    write_run(tmp_path / "a", run_report(task, "random", ["c", "d"], [[3, 1], [1, 3]]))
    assert rows_of(read_evidence(tmp_path)[0])[0].label == "T1"


def test_what_has_no_value_and_no_truth_is_said(tmp_path):
    report = images(noise="Gaussian noise of 0.1")
    report["without_network"] = {"name": "the image as it was read", "test": report["test"]}
    report["without_network"]["paired"] = {"measure": "psnr"}
    report["seen_before"] = [{"task": "xrays", "run": f"x-s{n}", "test_images": 60, "n": n} for n in (0, 7)]
    report["test"]["image"] |= {"ms_ssim_in_words": "MS-SSIM needs more pixels.", "without_truth": 3}
    write_run(tmp_path / "evidence" / "a", report)
    text = page_of(tmp_path / "evidence")
    assert "not measured: MS-SSIM needs more pixels; test images without truth: 3;" in text
    assert "without a network: the image as it was read, PSNR 31.25;" in text
    assert "seen before: 7 of 60 test images are training or validation images of xrays (x-s7)" in text
    assert "x-s0" not in text
    assert lines(text, "I1")[0][1] == "lungs, Gaussian noise of 0.1"


# --- published ------------------------------------------------------------------------------------------------------


def test_published_lungs_stand_above_ours_of_the_same_data_only(tmp_path):
    for name, source in (("a", "other X-rays"), ("b", SOURCE), ("c", "Montgomery to train, Shenzhen to test")):
        prepared(write_run(tmp_path / "evidence" / name, masks(task=name)), source)
    text = page_of(tmp_path / "evidence")
    nets, *theirs = lines(text, "published")
    assert nets[2:7] == ["U-Nets", "–", "Shenzhen to Montgomery", "–", "0.942 to 0.946"]
    assert theirs[0][6:9] == ["F 0.96", "–", "0.99"], "without its IoU"
    order = [row.split(" | ")[1] for row in text[text.index("### Masks") :].splitlines() if row.startswith("| ")]
    assert order[2:10] == ["lungs"] * 5 + ["b", "a", "c"]
    assert "above F for the same masks. That cannot be" in text
    assert "[UMS-Rep](https://www.sciencedirect.com/science/article/pii/S2352914821000617) is Zamzmi, " in text


def test_published_denoising_stands_above_noisy_images(tmp_path):
    write_run(tmp_path / "evidence" / "a", images())
    assert lines(page_of(tmp_path / "evidence"), "published") == []
    pages = []
    for number, source in enumerate(("stained cells", SOURCE)):
        folder = tmp_path / f"evidence{number}" / "a"
        prepared(write_run(folder, images(noise="Poisson noise of 100 photons")), source)
        pages.append(page_of(folder.parent))
    cells, text = pages
    assert lines(cells, "published") == [], "what is published is of X-rays"
    assert lines(text, "published")[0][6:9] == ["0.96", "39.05", "0.99"]
    assert len(lines(text, "published")) == 6
    assert "strengths of its noise are lost" in text


# --- networks that were given ---------------------------------------------------------------------------------------


def test_a_given_network_of_classes_is_not_called_evolved(tmp_path):
    few = {name: row for name, row in ecg()["baselines"].items() if name == "linear_probe"}
    given = ecg(given="ums-rep", encoder=FROM_PIXELS, baselines=few)
    beats = run_report("ecg", "ds1-ds2", ["N", "S", "V", "F"], [[8, 1, 1, 0], [1, 2, 0, 0], [1, 0, 2, 0], [1, 0, 0, 1]])
    moles = run_report("skin", "random", ["c", "d"], [[3, 1], [1, 3]])
    for name, report in (("a", given), ("b", {**beats, "given": "unet"}), ("c", {**moles, "given": "ums-rep"})):
        write_run(tmp_path / "evidence" / name, report)
    text = page_of(tmp_path / "evidence")
    assert "evolved path" not in text.lower()
    assert (
        "| row | ums-rep | linear probe | random paths (mean) | full grid | its parameters | share of full grid |"
        in text
    )
    assert lines(text, "E1: ums-rep")[0][-2:] == ["1,000", "–"]
    assert "ums-rep is: beside the linear probe no difference shown in E1." in text, "there are no other controls"
    assert "given network: ums-rep;" in text
    assert "Unet, class by class" in text
    write_run(tmp_path / "evidence" / "d", ecg(1))
    text = page_of(tmp_path / "evidence")
    assert "the own network is: beside the linear probe" in text
    assert re.search(r"^\| E\d: ums-rep \| 0.9500", text, re.MULTILINE)
    assert re.search(r"^\| E\d \| 0.9500", text, re.MULTILINE)


# --- other reports --------------------------------------------------------------------------------------------------


def test_a_joint_evaluation_tells_each_task_by_its_own_measure(tmp_path):
    report = joint_report({"ecg": ecg()}, {"ecg": "e-s0", "lungs": "l-s0"})
    oracle = measured("mask", MASKS)
    routed = {**measured("mask", {**MASKS, "dice": 0.7}), "unknown": 2}
    lost = {"images": 5, "of_them_unknown": 2}
    told = {"routed": routed, "oracle": oracle, "lost_by_routing": lost, "target": "mask", "measure": "dice"}
    report["tasks"]["lungs"] = told
    report["splits"]["lungs"] = "official test split"
    write_json(tmp_path / "evidence" / "j" / "report.json", report)
    text = page_of(tmp_path / "evidence")
    cells = ["lungs", "l-s0", "60", "Dice 0.7000 (0.6900, 0.7100)", "Dice 0.9000 (0.8900, 0.9100)", "–", "2", "5"]
    assert lines(text, "J1")[-1] == ["J1", *cells]
    assert lines(text, "J1")[0][4] == "0.9000 (0.8500, 0.9500)"
    del report["overall"], report["tasks"]["ecg"]
    write_json(tmp_path / "evidence" / "j" / "report.json", report)
    assert lines(page_of(tmp_path / "evidence"), "J1")[0][4:7] == ["–", "–", "–"]
    del told["measure"], told["target"]
    write_json(tmp_path / "evidence" / "j" / "report.json", report)
    with refused("field tasks.lungs.routed.accuracy is missing"):
        page_of(tmp_path / "evidence")


def test_a_field_of_the_target_that_is_missing_is_named(tmp_path):
    report = masks()
    report["test"] = {"n": 60, "mask": {"n": 60}}
    write_run(tmp_path / "a", report)
    with refused("a/report.json: field test.mask.dice is missing"):
        read_evidence(tmp_path)


def test_a_copy_holds_nothing_of_single_images(tmp_path):
    folder = add(write_run(tmp_path / "run", masks()), tmp_path / "evidence", "run")
    kept = read_json(folder / "report.json")
    assert not {"shown", "against_size", "mistakes"} & set(kept)
    assert kept["test"] == masks()["test"]
    assert sorted(file.name for file in folder.iterdir()) == sorted(KEPT)


def test_classes_that_were_searched_together_with_others_say_so():
    """A network that learned beside another task is not one of a search for this task alone."""
    about = {"runs": {"a": "a-s0", "b": "b-s0"}, "strategy": "alternating", "path": "0|1", "fitness": "equal"}
    row = SimpleNamespace(report={"task": "a", "together": about}, network="evolved path", runs=[])
    assert _given(row) == {"network": "evolved path, trained in turn with b"}
    del row.report["together"]
    assert _given(row) == {}


def test_real_runs_that_were_trained_together_pass(tmp_path):
    runs = tmp_path / "runs"
    done = train(runs, "--task", "discs:class", "--strategy", "joint")
    assert done.code == 0, done
    names = ["discs-random-s0", "discs-class-random-s0"]
    where = ["--evidence", tmp_path / "docs" / "evidence", "--out", tmp_path / "docs" / "results.md"]
    done = pathsearch("results", *names, "--runs-dir", runs, "--data-dir", dense_data(), *where)
    assert done.code == 0, done
    text = (tmp_path / "docs" / "results.md").read_text(encoding="utf-8")
    report = read_json(runs / names[0] / "report.json")
    own = lines(text, "M1")[0]
    assert own[:4] == ["M1", "discs", "ums-rep, trained jointly with discs:class", "pixels, 32 px"]
    assert own[6].startswith(f"{report['test']['mask']['dice']:.4f} (")
    assert lines(text, "D1: ums-rep")
    assert "given network: ums-rep, trained jointly with discs" in text
    assert text.count("pathsearch train --task discs --task discs:class --blueprint ums-rep") == 2
    assert "source: drawn" in text
    kept = list((tmp_path / "docs" / "evidence").rglob("*.*"))
    assert {file.name for file in kept} == {*KEPT, "task.json"}
    assert not any(".png" in file.read_text() for file in kept)
