"""The test images that a person is shown: chosen by their answers, kept with what was asked and answered."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from dense_world import dense_task, train, trained
from page_checks import Page
from small_world import copied, finished, refused

from data_prep.manifest import save_task
from data_prep.table_words import BOX
from pathsearch.experts.answers import LONGEST, _small, choose, in_order, kept
from pathsearch.experts.expert import Expert
from pathsearch.experts.pictures import shown as picture
from pathsearch.measures.box_overlap import box_iou
from pathsearch.measures.similarity import ssim
from pathsearch.run.runs import Run
from pathsearch.run.sums import SUMS
from pathsearch.run.tensor_file import save_tensors


def test_what_is_kept_is_what_was_measured():
    run, prepared = trained(), dense_task()
    shown, found = run.report()["shown"], kept(run.answers_file)
    assert (shown["form"], shown["measure"]) == ("outlines", "dice")
    assert list(found) == [row["file"] for row in in_order(shown)]
    assert len(found) == 8, "all test images, once"
    values = [row["value"] for row in (*shown["worst"], *shown["between"], *reversed(shown["best"]))]
    assert values == sorted(values)
    truth = dict(zip(prepared.table["file"].to_numpy()[prepared.rows("test")], prepared.masks("test"), strict=True))
    for row in in_order(shown):
        one = found[row["file"]]
        assert np.array_equal(one.image, picture(prepared.task_dir / row["file"], 64)[..., 0]), "grey has one channel"
        assert np.array_equal(one.parts["truth"], truth[row["file"]])
        true, said = one.parts["truth"] == 1, one.parts["answer"] == 1
        both = true.sum() + said.sum()
        assert row["value"] == pytest.approx(2 * (true & said).sum() / both if both else 1)
    mean = run.report()["test"]["mask"]["dice"]
    assert mean == pytest.approx(np.mean(values))


def prepared_as(folder: Path, target: str) -> None:
    """The discs again, with a box around each, asking for something else than masks."""
    before = dense_task()
    shutil.copytree(before.task_dir, folder / "discs")
    table = before.table.copy()
    masks = {
        split: dict(zip(before.rows(split), before.masks(split), strict=True)) for split in ("train", "val", "test")
    }
    for row, mask in (masks["train"] | masks["val"] | masks["test"]).items():
        (y, x) = np.nonzero(mask)
        for name, value in zip(BOX, (x.min(), y.min(), x.max() + 1, y.max() + 1), strict=True):
            table.loc[row, name] = str(value)
    kept = {key: before.info[key] for key in ("classes", "source", "licence", "options", "notes", "split", "masks")}
    save_task(folder / "discs", name="discs", table=table, target=target, **kept)


def test_boxes_are_kept_as_they_were_measured(tmp_path):
    prepared_as(tmp_path, "box")
    done = train(tmp_path / "runs", "--data-dir", tmp_path)
    assert done.code == 0, done
    run = Run(tmp_path / "runs" / "discs-random-s0")
    shown, found = run.report()["shown"], kept(run.answers_file)
    assert (shown["form"], shown["measure"]) == ("boxes", "iou")
    for row in in_order(shown):
        parts = found[row["file"]].parts
        assert row["value"] == pytest.approx(float(box_iou(*(torch.from_numpy(parts[k]) for k in ("truth", "answer")))))
    assert (run.folder / "answers.svg").is_file()
    assert (run.folder / "against_size.svg").is_file()
    said = Page((run.folder / "report.html").read_text())
    assert "the true box (light blue) and the answered one" in "".join(str(one["alt"]) for one in said.all("img"))


def test_pictures_are_kept_with_what_was_read(tmp_path):
    prepared_as(tmp_path, "image")
    done = train(tmp_path / "runs", "--data-dir", tmp_path, "--set", "training.noise=gaussian:0.2")
    assert done.code == 0, done
    run = Run(tmp_path / "runs" / "discs-random-s0")
    shown, found = run.report()["shown"], kept(run.answers_file)
    assert (shown["form"], shown["measure"]) == ("pictures", "ssim")
    for row in in_order(shown):
        one = found[row["file"]]
        truth, read, answer = (one.parts[part].astype(float) for part in ("truth", "input", "answer"))
        assert np.array_equal(truth[0], one.image)
        assert 25 < (read - truth).std() < 60, "noise of a fifth of the range, cut at its ends"
        assert truth.shape == answer.shape == (1, 32, 32)
        said, true = (torch.from_numpy(part)[None, None] / 255 for part in (answer, truth))
        assert row["value"] == pytest.approx(ssim(said.float(), true[0].float()).item(), abs=0.02)
    done = train(tmp_path / "more", "--data-dir", tmp_path)
    assert done.code == 0, done
    clean = kept(Run(tmp_path / "more" / "discs-random-s0").answers_file)
    assert all("input" not in one.parts for one in clean.values()), "the truth itself was read"


def test_it_is_sealed(tmp_path):
    assert "  answers.safetensors\n" in trained().sums_file.read_text()
    run = copied(trained(), tmp_path)
    content = bytearray(run.answers_file.read_bytes())
    content[-1] ^= 1
    run.answers_file.write_bytes(content)
    with refused(f"answers.safetensors: differs from its digest in {SUMS}"):
        run.report()
    run.answers_file.unlink()
    with refused("answers.safetensors: expected a file, got none; put a copy back"):
        run.report()


@pytest.mark.parametrize("note", [{}, {"pathsearch": "["}, {"pathsearch": "{}"}, {"pathsearch": '{"files": ["a", 3]}'}])
def test_another_file_is_one_line(tmp_path, note):
    file = tmp_path / "answers.safetensors"
    save_tensors(file, {"00.image": torch.zeros(2, 2), "x.truth": torch.zeros(2, 2)}, note)
    with refused("^answers .*: expected images with what was answered, got .*; put a copy back"):
        kept(file)
    file.write_bytes(b"x")
    with refused("^answers .*: cannot be read"):
        kept(file)
    file.unlink()
    with refused("^answers .*: no such file"):
        kept(file)


def test_classes_keep_no_answers():
    run = finished("blobs")
    assert not run.answers_file.exists()
    assert "shown" not in run.report()
    assert "answers" not in run.sums_file.read_text()


def test_images_of_unknown_truth_are_not_shown():
    """Nothing is chosen where nothing is known."""
    expert, prepared = Expert.load(trained().expert_file), dense_task()

    class Test:
        truth = torch.full((8, 32, 32), 255, dtype=torch.uint8)

    said = expert.target.said(torch.zeros(8, 1, 32, 32), Test.truth)
    assert choose(expert, prepared, Test(), said) is None  # type: ignore[arg-type]
    Test.truth[2] = 0
    said = expert.target.said(torch.full((8, 1, 32, 32), -1.0), Test.truth)
    shown = choose(expert, prepared, Test(), said)  # type: ignore[arg-type]
    assert shown is not None
    assert [row["value"] for row in in_order(shown)] == [1.0]
    assert in_order(shown)[0]["file"] == prepared.table["file"].to_numpy()[prepared.rows("test")][2]


def test_large_maps_are_made_small():
    large = torch.arange(400 * 500).reshape(400, 500)
    assert _small(large).shape == (134, 167)
    assert max(_small(large).shape) <= LONGEST
    assert torch.equal(_small(large[:192, :192]), large[:192, :192])
    assert torch.equal(_small(torch.ones(4)), torch.ones(4))
