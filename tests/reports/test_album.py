"""Pictures of the data and of mistakes on a page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from page_checks import Page, faults
from pages import joint_folder, run_folder, text_of
from small_world import copied, data_dir, prepare, task

from pathsearch.reports.report_page import write_page
from pathsearch.run.runs import Run, read_json
from pathsearch.targets.mistakes import most_confident, together

# --- pictures of the data ------------------------------------------------------------------------------------------


def pictures(folder: Path) -> int:
    sources = [one["src"] or "" for one in Page(text_of(folder)).all("img")]
    return sum(source.startswith(("data:image/png", "data:image/jpeg")) for source in sources)


def test_pictures_are_kept_for_a_page_without_the_data(tmp_path):
    folder = copied(Run(run_folder()), tmp_path).folder
    before, report = text_of(folder), read_json(folder / "report.json")
    assert pictures(folder) == 3 * 4 + len(report["mistakes"]["shown"])
    write_page(folder, tmp_path / "nowhere")
    assert text_of(folder) == before
    write_page(folder, None)
    assert text_of(folder) == before


def test_without_pictures_the_page_says_how_to_add_them(tmp_path):
    folder = copied(Run(run_folder()), tmp_path).folder
    (folder / "pictures.json").unlink()
    write_page(folder, None)
    assert pictures(folder) == 0
    assert f"pathsearch plot {folder.name} --data-dir DIR" in Page(text_of(folder)).text("main")
    assert faults(text_of(folder)) == []


def test_a_page_can_leave_pictures_out(tmp_path):
    folder = copied(Run(run_folder()), tmp_path).folder
    write_page(folder, data_dir(), images=False)
    assert pictures(folder) == 0
    assert "without pictures" in Page(text_of(folder)).text("main")


def test_another_preparation_gives_no_pictures(tmp_path):
    folder = copied(Run(run_folder()), tmp_path).folder
    (folder / "pictures.json").unlink()
    prepare(tmp_path / "data", "stripes", 60)
    write_page(folder, tmp_path / "data")
    assert pictures(folder) == 0
    assert not (folder / "pictures.json").exists()


def test_examples_are_training_images_of_their_class():
    kept = read_json(run_folder() / "pictures.json")["tasks"]["stripes"]["examples"]
    table = task("stripes").table.set_index("file")
    for name, rows in kept.items():
        assert len(rows) == 4
        for row in rows:
            assert (table.loc[row["file"], "label"], table.loc[row["file"], "split"]) == (name, "train")


# --- mistakes ------------------------------------------------------------------------------------------------------


def test_mistakes_by_hand():
    blobs = task("blobs")
    files = blobs.table["file"].to_numpy()[blobs.rows("test")]
    true = np.zeros(len(files), int)
    said = true.copy()
    said[[1, 3, 5, 7]] = (1, 1, 1, -1)  # three wrong, one unknown
    sure = np.full(len(files), 0.9)
    sure[[1, 3, 5]] = (0.6, 0.8, 0.6)
    found = most_confident(blobs, said, sure, ["small", "large"], true, shown=2)
    assert (found["n"], found["wrong"]) == (len(files), 3)
    assert [(row["file"], row["probability"]) for row in found["shown"]] == [(files[3], 0.8), (files[1], 0.6)]
    assert {(row["task"], row["true"], row["said"]) for row in found["shown"]} == {("blobs", "small", "large")}
    both = together([found, {"n": 5, "wrong": 1, "shown": [{"probability": 0.7}]}], shown=2)
    assert (both["n"], both["wrong"]) == (len(files) + 5, 4)
    assert [row["probability"] for row in both["shown"]] == [0.8, 0.7]


def test_mistakes_agree_with_the_confusion():
    report = read_json(run_folder() / "report.json")
    table = np.array(report["test"]["confusion"])
    assert report["mistakes"]["wrong"] == table.sum() - table.trace()
    labels = task("stripes").table.set_index("file")["label"]
    assert all(labels[row["file"]] == row["true"] != row["said"] for row in report["mistakes"]["shown"])
    joined = read_json(joint_folder() / "report.json")
    counts = np.array(joined["confusion"]["counts"])
    assert joined["mistakes"]["wrong"] == counts[:, :-1].sum() - counts[:, :-1].trace()
