"""`report.html`: what it says is what the files say, alone, and readable without seeing it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from command_world import pathsearch
from page_checks import Page, faults
from pages import PAGES, changed, joint_folder, run_folder, text_of
from small_world import copied, data_dir, refused, runs_dir, task

from data_prep.whole_files import write_json
from pathsearch.reports.page_tables import number
from pathsearch.reports.report_page import page_kind, write_page
from pathsearch.run.runs import Run, read_json

# --- what every page must be ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_is_whole_alone_and_readable(kind):
    assert faults(text_of(PAGES[kind]())) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (r' alt="[^"]+"', "", "without words"),
        (r' alt="[^"]+"', ' alt=" "', "without words"),
        (r"<h2", "<h4", "heading"),
        (r"<h1>.*</h1>", "", "level 1"),
        (r' lang="en"', "", "language"),
        (r'src="data:', 'src="https://example.org/', "leads out"),
        (r"</style>", "body { background: url(x.png) }</style>", "style leads out"),
        (r"</main>", "<script>1</script></main>", "<script>"),
        (r"</main>", '<p onclick="x()">a</p></main>', "a script in onclick"),
        (r' scope="row"', "", "without scope"),
        (r"<caption.*</caption>", "", "without caption"),
        (r'id="content"', "", "not there"),
        (r'id="data"', 'id="result"', "twice"),
        (r"</section>", "", "closes nothing|never closed"),
    ],
)
def test_the_checker_sees_planted_faults(old, new, fault):
    text = text_of(run_folder())
    planted = re.sub(old, new, text, count=1)
    assert planted != text
    assert any(re.search(fault, one) for one in faults(planted))


@pytest.mark.parametrize("kind", PAGES)
def test_every_figure_of_the_folder_is_on_the_page(kind):
    folder = PAGES[kind]()
    page = Page(text_of(folder))
    shown = [one for one in page.all("img") if (one["src"] or "").startswith("data:image/svg")]
    assert len(shown) == len(list(folder.glob("*.svg"))) > 3
    assert all(len(one["alt"] or "") > 60 and re.search(r"\d", one["alt"] or "") for one in shown), (
        "findings, not names"
    )


def test_what_users_call_things_is_escaped(tmp_path):
    evil = "<script>alert(1)</script>"
    test = {**read_json(run_folder() / "report.json")["test"], "classes": [evil, "b", "c"], "columns": [evil, "b", "c"]}
    folder = changed(run_folder(), tmp_path, test=test, split_in_words=f'"{evil}" & more')
    write_page(folder)
    assert "<script" not in text_of(folder)
    assert faults(text_of(folder)) == []
    assert evil in Page(text_of(folder)).text("main")


# --- what it says --------------------------------------------------------------------------------------------------


def test_numbers_are_those_of_the_report():
    report, page = read_json(run_folder() / "report.json"), Page(text_of(run_folder()))
    said = page.text("main").replace("\u00a0", " ")
    test = report["test"]
    low, high = test["ci95"]["accuracy"]
    assert f"right for {100 * test['accuracy']:.1f} % of {test['n']} test images" in said
    assert f"95 % interval {100 * low:.1f} to {100 * high:.1f} %" in said
    assert f"{test['accuracy']:.4f} ({low:.4f}, {high:.4f})" in said
    assert f"{report['validation']['accuracy']:.4f}" in said
    for row in report["baselines"].values():
        assert f"{row['test']['accuracy']:.4f}" in said
    for line in (*report["verdict"], report["split_in_words"], report["encoder"]["weights_sha256"]):
        assert line in said
    for name, value in test["recall_per_class"].items():
        assert re.search(rf"{name} [\d,]+ {value:.4f}", said)
    for counts in task("stripes").info["counts"].values():
        assert all(str(n) in said for n in counts.values())


def test_statistics_are_those_of_the_report():
    report, page = read_json(run_folder() / "report.json"), Page(text_of(run_folder()))
    said = page.text("main")
    for split in ("validation", "test"):
        for state in ("before", "after"):
            row = report["calibration"][split][state]
            assert " ".join(number(row[key]) for key in ("ece", "brier", "nll")) in said
    probe = report["paired"]["linear_probe"]
    numbers = " ".join(number(probe[key]) for key in ("own", "other", "difference"))
    assert f"linear probe {numbers} {probe['p']:.2g} {probe['answer']}" in said
    probe = report["mcnemar"]["linear_probe"]
    assert f"linear probe {probe['n']} {probe['b']} {probe['c']} {probe['p']:.2g}" in said
    for line in report["prior_shift"]["in_words"]:
        assert line in said
    assert "was not measured" not in said


def test_joint_numbers_are_those_of_the_report():
    report, page = read_json(joint_folder() / "report.json"), Page(text_of(joint_folder()))
    said = page.text("main").replace("\u00a0", " ")
    overall = report["overall"]
    low, high = overall["ci95"]["accuracy"]
    assert f"right for {100 * overall['accuracy']:.1f} % of {overall['n']} mixed test images" in said
    assert f"{overall['accuracy']:.4f} ({low:.4f}, {high:.4f})" in said
    for name, row in report["tasks"].items():
        assert f"{name}: {row['routed']['accuracy']:.4f} routed against {row['oracle']['accuracy']:.4f}" in said
    for words in report["splits"].values():
        assert words in said


def test_a_joint_page_names_the_runs_that_were_left_out(tmp_path):
    folder = changed(joint_folder(), tmp_path, left_out={"old_run": "not finished"})
    (folder / "SHA256SUMS").unlink()
    write_json(folder / "report.json", {k: v for k, v in read_json(folder / "report.json").items() if k != "digests"})
    write_page(folder, data_dir())
    said = Page(text_of(folder)).text("main")
    assert said.count("old_run") == 1
    assert "old_run not finished" in said
    assert "left out" not in Page(text_of(joint_folder())).text("main")


@pytest.mark.parametrize(("share", "told"), [(0.01, True), (0.05, False), (0.0, False)])
def test_a_joint_page_says_where_a_threshold_is_the_largest_distance(tmp_path, share, told):
    folder = changed(joint_folder(), tmp_path, false_rejection_on_validation=share)
    rows = read_json(folder / "report.json")["calibration"]
    assert {row["n_validation"] for row in rows.values()} == {24}
    write_page(folder)
    words = "is less than one image of blobs (24), stripes (24): the threshold there is the largest distance among them"
    assert (words in Page(text_of(folder)).text("main")) == told


def test_further_statistics_are_shown_where_a_report_has_them(tmp_path):
    folder = changed(
        run_folder(), tmp_path, calibration={"temperature": 1.2345, "ece": {"test": 0.0456}}, mcnemar={"p": 0.1234}
    )
    for file in folder.glob("reliability.*"):
        file.unlink()
    (folder / "strange.svg").write_text((folder / "baselines.svg").read_text())
    write_page(folder)
    said = Page(text_of(folder)).text("main")
    assert all(value in said for value in ("1.2345", "0.0456", "0.1234", "Strange"))
    assert "was not measured" not in said
    assert faults(text_of(folder)) == []


def test_the_finalists_are_captioned_by_the_measure_that_was_maximised(tmp_path):
    auc = changed(run_folder(), tmp_path, measure="auc")
    for folder, words in ((run_folder(), "accuracy"), (auc, "AUC")):
        write_page(folder)
        assert f"Finalists: size against validation {words}" in Page(text_of(folder)).text("main")


def test_few_groups_are_said_beside_the_paired_tests(tmp_path):
    report = read_json(run_folder() / "report.json")
    probe = {**report["paired"]["linear_probe"], "test": "sign flips by group", "groups": 4}
    folder = changed(run_folder(), tmp_path, paired={"linear_probe": probe})
    write_page(folder)
    said = Page(text_of(folder)).text("main")
    assert "sign flips by group of 4; of 4 groups p is 0.12 at the least, two-sided" in said


def test_a_comparison_has_a_page(tmp_path):
    def spread(*each: float) -> dict[str, object]:
        return {"mean": float(np.mean(each)), "sd": 0.0123, "each": list(each)}

    def method(name: str, accuracy: float) -> dict[str, object]:
        rates = {rate: spread(accuracy, accuracy) for rate in ("accuracy", "balanced_accuracy", "auc")}
        half = {**rates, "n": 24}
        return {
            "name": name,
            "parameters": spread(100, 300),
            "validation": half,
            "test": half,
            "each": [{"path": one} for one in paths],
        }

    paths = ["probe", "0|1"]
    paired = {"n": 24, "b": 3, "c": 1, "p": 0.625}
    against = {"seeds": 2, "difference": 0.0456, "ci95": [-0.01, 0.09], "p": 0.0321, "wilcoxon_p": 0.5, "sd": 0.1}
    by_group = {"difference": 0.04, "p": 0.25, "test": "sign flips by group", "groups": 4}
    report = {
        "kind": "comparison",
        "task": "stripes",
        "split": "random",
        "split_in_words": "random split",
        "encoder": {"name": "squeezenet1_1", "weights": "random", "image_size": 48},
        "seeds": [0, 1],
        "budget": {"in_words": "the same for all", "candidates_without_search": 8},
        "methods": {"evolved": method("evolved path", 0.9123), "random_paths": method("random paths", 0.8765)},
        "against": {
            "random_paths": {**against, "p_holm": 0.0642, "mcnemar": [paired, paired], "paired": [by_group] * 2}
        },
        "intervals": {"method": "bootstrap over groups", "groups": 4},
        "rank_fidelity": {"tau": spread(0.5, 0.6), "each": [{"n": 8, "tau": 0.5}, {"n": 8, "tau": 0.6}]},
        "verdict": ["The evolved path beats random paths: words of an earlier version."],
    }
    write_json(tmp_path / "report.json", report)
    (tmp_path / "comparison.svg").write_text((run_folder() / "baselines.svg").read_text())
    write_page(tmp_path)
    page = Page(text_of(tmp_path))
    said = page.text("main")
    assert faults(text_of(tmp_path)) == []
    for value in (
        "no difference between the evolved path and random paths is shown",
        "random split",
        "0.9123 ± 0.0123",
        "0.8765 ± 0.0123",
        "0.0456",
        "0.064",
        "0.5500",
    ):
        assert value in said, value
    assert "its 95 % interval is Student's t over seeds" in said
    assert "bootstrap" not in said
    assert "On the images: the paired test of the same measure (sign flips by group; of 4 groups p is 0.12" in said
    assert "beats" not in said
    assert "random paths (at 1 of 2 seeds both are the linear probe)" in said
    assert "Does fitness rank paths truly?" in said
    assert all(tau in said for tau in ("0.5000", "0.6000"))
    assert "each 2 tau" not in said
    assert "evolved path 0.9123 with 200 parameters" in (page.all("img")[0]["alt"] or "")


def test_a_comparison_of_another_form_has_a_page(tmp_path):
    report = {
        "task": "stripes",
        "verdict": ["No way is better than another beyond its interval."],
        "split_in_words": "random",
        "ways": {"evolved": {"accuracy": 0.9123, "seeds": [1, 2]}, "random": {"accuracy": 0.9034, "seeds": [1, 2]}},
        "pairs": [{"a": "evolved", "b": "random", "p": 0.4321}],
        "budget": {"each": {"seconds": 1.5}},
    }
    write_json(tmp_path / "report.json", report)
    write_page(tmp_path)
    said = Page(text_of(tmp_path)).text("main")
    assert faults(text_of(tmp_path)) == []
    assert all(value in said for value in ("No way is better", "0.9123", "0.9034", "0.4321", "1.5000"))


def test_what_a_page_is_about_is_told_from_its_report():
    for folder, template in ((run_folder(), "run.html.j2"), (joint_folder(), "joint.html.j2")):
        assert page_kind(read_json(folder / "report.json"))[0] == template
    assert page_kind({"task": "a"})[0] == "comparison.html.j2"


def test_plot_makes_the_page_again_and_waits_for_a_report(tmp_path):
    folder = copied(Run(run_folder()), tmp_path).folder
    before = text_of(folder)
    (folder / "report.html").unlink()
    done = pathsearch("plot", folder, "--json", "--data-dir", tmp_path / "nowhere")
    assert done.code == 0, done
    assert json.loads(done.out)["page"] == str(folder / "report.html")
    assert text_of(folder) == before
    for name in ("report.html", "report.json", "SHA256SUMS"):  # an unfinished run
        (folder / name).unlink()
    done = pathsearch("plot", folder, "--json")
    assert (done.code, json.loads(done.out)["page"]) == (0, None), done


# --- files that are not what was written ----------------------------------------------------------


def test_no_folder_of_the_machine_is_on_the_page(tmp_path):
    folder = copied(Run(run_folder()), tmp_path).folder
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", {**config, "encoder": {**config["encoder"], "weights": "/home/me/w.pth"}})
    write_page(folder)
    assert "/home" not in text_of(folder)
    assert str(runs_dir()) not in text_of(folder)


@pytest.mark.parametrize(
    ("file", "content", "match"),
    [
        ("report.json", None, "no such file"),
        ("report.json", "[1]", "expected a JSON object"),
        ("report.json", json.dumps({"path": "0|0|0", "test": {}}), "report.html needs, got no entry"),
        ("pictures.json", "{}", "expected small pictures"),
        ("log.csv", "generation\n1\n", "report.html needs, got no entry"),
    ],
)
def test_a_damaged_file_is_one_line(file, content, match, tmp_path):
    folder = copied(Run(run_folder()), tmp_path).folder
    before = text_of(folder)
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_text(content)
    with refused(match):
        write_page(folder)
    assert text_of(folder) == before, "the old page stays whole"


def test_an_old_report_is_read_with_todays_words(tmp_path):
    """It was written "beats … p = 0.12"; its own test shows no difference, and its page says so."""
    report = read_json(run_folder() / "report.json")
    rows = {"linear_probe": {"n": 24, "b": 4, "c": 1, "p": 0.375}, "full_grid": {"n": 24, "b": 0, "c": 9, "p": 0.0039}}
    old = {key: value for key, value in report.items() if key not in ("paired", "measure", "intervals")}
    old |= {"mcnemar": rows, "verdict": ["The evolved path beats the linear probe on test."]}
    folder = changed(run_folder(), tmp_path)
    write_json(folder / "report.json", old)
    write_page(folder)
    said = Page(text_of(folder)).text("main")
    assert "beats" not in said
    assert "no difference between the evolved path and the linear probe is shown" in said
    assert "the evolved path is worse than the full grid" in said
    assert "count images as independent: this report is of an earlier form" in said.replace("\u00a0", " ")
