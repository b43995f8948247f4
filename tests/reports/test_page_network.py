"""The page of a run: how its network came about, and, of masks, what a person is shown of its answers."""

from __future__ import annotations

import re
import shutil

import pytest
from command_world import pathsearch
from dense_world import dense_data, dense_task, trained
from page_checks import Page, faults
from pages import changed, given_folder, run_folder, text_of
from small_world import copied, refused

from data_prep.manifest import save_task
from pathsearch.cli.terminal import Terminal
from pathsearch.experts.run_report import called, learned_by
from pathsearch.experts.run_verdict import run_verdict
from pathsearch.grid.presets import PRESETS
from pathsearch.reports import figures
from pathsearch.reports.page_network import asked
from pathsearch.reports.report_page import write_page
from pathsearch.run.runs import read_json

NEVER_WERE = r"evol|finalist|generation|random path|fitness|\bsearch"


def test_finalists_of_several_tasks_are_said_to_be_chosen_by_all(tmp_path):
    """No rule about one task's measure chose them, and none was trained alone."""
    about = {"strategy": "joint", "loss_weights": "equal", "fitness": "equal", "path": "0|1|2", "begun_from": []}
    about |= {"runs": {}, "shared_layers": [], "shared_parameters": 0, "parameters": 1, "turns": "size"}
    recipe = {"learning_rate": 1.0, "weight_decay": 1.0, "dropout": 0.0, "strategy": "joint", "weights": [1.0]}
    text = text_of(write_page(changed(run_folder(), tmp_path, together=about, recipe=recipe)).parent)
    assert "Finalists, each trained with its partners from the same weights" in text
    assert "the smallest whose" not in text
    assert "within one standard error of it" not in text
    assert "the best path is the best for all tasks together" in text
    assert "weight decay and dropout, strategy, and what the loss of each task after the first counts" in text


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({}, "the evolved path"),
        ({"given": "ums-rep"}, "ums-rep"),
        ({"given": "a-plug-in"}, "a-plug-in"),
        ({"given": "0|1+2|0"}, "the given path"),
        ({"given": "probe"}, "the given path"),
    ],
)
def test_what_a_network_is_called(given, name):
    assert called(given, "the ") == name
    assert called(given) == name.removeprefix("the ")


def test_what_training_was_followed_by():
    assert learned_by({}) == "accuracy"  # type: ignore[typeddict-item]
    assert learned_by({"target": "mask"}) == "Dice"  # type: ignore[typeddict-item]
    assert learned_by({"target": "elsewhere"}) == "quality of the answers"  # type: ignore[typeddict-item]


def test_a_page_without_a_search_speaks_of_none():
    page = Page(text_of(given_folder()))
    said = page.text("main").replace("\u00a0", " ")
    alts = " ".join(str(one["alt"]) for one in page.all("img"))
    told = f"{said.partition('How it was made')[0]} {alts}"  # after that come all settings as they stand in config.json
    told = re.sub("without a search|nothing was searched for|For research", "", told)
    assert re.findall(rf".{{0,40}}(?:{NEVER_WERE}).{{0,20}}", told, re.IGNORECASE) == []
    assert "search: " not in said.replace("search: fitness", ""), "settings that had no say are left out"
    assert page.text("h1") == "discs: ums-rep, tested"
    assert PRESETS["ums-rep"].words in said
    assert "Zamzmi et al. 2021" in said
    assert "how well does ums-rep answer what the task asks for (mask, task discs)" in said
    assert re.search(r"ums-rep [\d,]+ \d\.\d{4} \(", said), "the row of the table"
    assert re.search(r"On test, .*ums-rep.*: Dice \d", said)
    assert "epochs and threshold" not in said, "of masks there is no threshold"
    assert "kept no list of its mistakes" not in said


def test_a_page_of_classes_without_a_search_speaks_of_none(tmp_path):
    report = read_json(run_folder() / "report.json")
    folder = changed(run_folder(), tmp_path, given="unet", finalists=report["finalists"][:1], refit="none")
    for file in (folder / "log.csv", *folder.glob("fitness_curve.*")):
        file.unlink()
    figures.plot_run(folder)
    assert not (folder / "finalists.svg").exists(), "of one there is no choice"
    write_page(folder)
    page = Page(text_of(folder))
    said = page.text("main").partition("How it was made")[0]
    told = f"{said} {' '.join(str(one['alt']) for one in page.all('img'))}"
    told = re.sub("without a search|nothing was searched for|For research|random paths?", "", told)
    never = NEVER_WERE.replace("|random path", "")
    assert re.findall(rf".{{0,40}}(?:{never}).{{0,20}}", told, re.IGNORECASE) == []
    assert "unet is right for" in told
    assert "epochs and threshold were chosen on validation" in told
    assert "path, epochs" not in told
    assert faults(text_of(folder)) == []


def test_a_page_of_a_search_still_does():
    said = Page(text_of(run_folder())).text("main")
    for words in (
        "evolved path",
        "Finalists",
        "generations visited",
        "can evolution find",
        "path, epochs and threshold",
    ):
        assert words in said
    assert "Answers, worst to best" not in said


def test_the_command_on_the_page_makes_the_run():
    command = Page(text_of(given_folder())).text("pre")
    assert command.startswith(
        "pathsearch train --task discs --blueprint ums-rep --image-size 32 --set grid.n_modules=2"
    )
    assert "imagenet" not in command, "pixels have no weights"


def test_answers_are_on_the_page_with_words():
    page, report = Page(text_of(given_folder())), read_json(given_folder() / "report.json")
    (alt,) = [one["alt"] or "" for one in page.all("img") if "outline" in (one["alt"] or "")]
    for end in ("worst", "between", "best"):
        for row in report["shown"][end]:
            assert f"{row['file']} {row['value']:.4f}" in alt
    assert "by Dice" in alt
    (size,) = [one["alt"] or "" for one in page.all("img") if "against the size" in (one["alt"] or "")]
    low, high = (report["against_size"]["size"][i] for i in (0, -1))
    assert f"8 test images, sizes {low:.1%} to {high:.1%} of the image" in size
    assert "Test images and their answers" in page.text("figcaption")
    for name, pair in report["test"]["mask"]["ci95"].items():
        assert pair is None or f"{pair[0]:.4f} to {pair[1]:.4f}" in page.text("table"), name


def test_without_pictures_no_figure_shows_the_data(tmp_path):
    folder = copied(trained(), tmp_path).folder
    figures.plot_run(folder)
    write_page(folder, dense_data(), images=False)
    page = Page(text_of(folder))
    assert "without pictures" in page.text("main")
    assert not [one for one in page.all("img") if re.search("outline|training image", one["alt"] or "")]
    assert "data:image/png" not in text_of(folder)
    assert [one for one in page.all("img") if "against the size" in (one["alt"] or "")]
    assert faults(text_of(folder)) == []


def test_plot_makes_all_again_from_files_alone(tmp_path):
    folder = copied(trained(), tmp_path).folder
    drawn = {file: file.read_bytes() for kind in ("png", "svg", "html") for file in folder.glob(f"*.{kind}")}
    for file in drawn:
        file.unlink()
    (folder / "finalists.svg").write_text("of an earlier version, which drew one path that was given")
    done = pathsearch("plot", folder, "--json", "--data-dir", tmp_path / "nowhere")
    assert done.code == 0, done
    assert {file: file.read_bytes() for kind in ("png", "svg", "html") for file in folder.glob(f"*.{kind}")} == drawn
    assert {"answers", "against_size", "baselines", "training_curve", "path_on_grid"} == {one.stem for one in drawn} - {
        "report"
    }


@pytest.mark.parametrize(
    ("damage", "message"), [("cut", "differs from its digest"), ("gone", "expected a file, got none")]
)
def test_lost_answers_are_one_line(tmp_path, damage, message):
    run = copied(trained(), tmp_path)
    if damage == "cut":
        run.answers_file.write_bytes(run.answers_file.read_bytes()[:-9])
        with refused("^answers .*answers.safetensors: cannot be read"):
            figures.plot_run(run.folder)
    else:
        run.answers_file.unlink()
    done = pathsearch("plot", run.folder)
    assert done.code == 2, done
    assert f"answers.safetensors: {message}" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_given_path_is_called_so(tmp_path, capsys):
    report = read_json(given_folder() / "report.json")
    folder = changed(given_folder(), tmp_path, given=report["path"])
    write_page(folder)
    said = Page(text_of(folder)).text("main")
    assert "The given path was trained as it is: nothing was searched for" in said
    assert "the given path" in run_verdict({**report, "given": report["path"]})[0]
    assert "ums-rep" in run_verdict(report)[0]
    Terminal().run_table({**report, "given": report["path"]})
    assert "given path" in capsys.readouterr().out
    Terminal().run_table(report)
    out = capsys.readouterr().out
    assert "ums-rep" in out
    assert "evolved" not in out
    assert "test Dice (95 %)" in out


def test_the_question_names_the_encoder_if_there_is_one():
    report = read_json(run_folder() / "report.json")
    assert asked(report, "tell", "a and b apart").startswith(
        "On the frozen encoder squeezenet1_1, can evolution find a"
    )
    pixels = {**report, "encoder": {**report["encoder"], "name": "pixels", "weights_sha256": ""}}
    assert asked(pixels, "tell", "a and b apart").startswith("From pixels alone, can evolution find")
    given = {**report, "given": "unet"}
    assert "how well does unet tell a and b apart, and is it" in asked(given, "tell", "a and b apart")


def test_a_task_without_classes_has_examples_too(tmp_path):
    """Of which the album keeps some under one name."""
    before = dense_task()
    shutil.copytree(before.task_dir, tmp_path / "discs")
    kept = {key: before.info[key] for key in ("source", "licence", "options", "notes", "split", "target", "masks")}
    task = save_task(tmp_path / "discs", name="discs", classes=[], table=before.table.assign(label=""), **kept)
    folder = changed(given_folder(), tmp_path, data=task.fingerprint)
    write_page(folder, tmp_path)
    said = Page(text_of(folder)).text("main")
    assert f"Images of each split. Split: {before.split_in_words}" in said
    assert "Images Training Validation Test All all 24 8 8 40" in said
    album = read_json(folder / "pictures.json")["tasks"]["discs"]
    assert album["about"]["classes"] == []
    assert [len(rows) for rows in album["examples"].values()] == [4]
    assert faults(text_of(folder)) == []
