"""Drawn answers, in every form that a target may name, and goodness against size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from figure_checks import LONG, outside
from matplotlib.patches import Rectangle
from small_world import refused
from torch import Tensor

from pathsearch.reports import figures
from pathsearch.reports.figure_answers import _difference, against_size, answers
from pathsearch.reports.figure_style import styled
from pathsearch.run.tensor_file import save_tensors

H, W, N = 20, 30, 8
STREAM = torch.Generator().manual_seed(0)


def pictures(*shape: int) -> Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=STREAM)


def labels(empty: bool = False) -> Tensor:
    """(N, H, W): two labels, the second at the border."""
    found = torch.zeros(N, H, W, dtype=torch.uint8)
    found[:, 3:9, 4:12], found[:, 14:, 20:] = 1, 2
    return found * (not empty)


BOX = torch.tensor([0.1, 0.2, 0.5, 0.9]).expand(N, 4)
FORMS: dict[str, list[dict[str, Tensor]]] = {
    "outlines": [
        {"truth": labels(), "answer": labels().roll(2, 2)},
        {"truth": labels(), "answer": labels(empty=True)},
        {"truth": labels()[:, ::2, ::2], "answer": labels()[:, ::2, ::2]},  # of large ones every n-th row is left
    ],
    "boxes": [{"truth": BOX, "answer": BOX + 0.1}],
    "pictures": [
        {"truth": pictures(N, 1, H, W), "answer": pictures(N, 1, H, W)},
        {"truth": pictures(N, 3, H, W), "answer": pictures(N, 3, H, W), "input": pictures(N, 3, H // 2, W // 2)},
    ],
}


def write(folder: Path, form: str, parts: dict[str, Tensor], n: int = N, grey: bool = True, **more: Any) -> Path:
    """A folder with a report and answers to n images."""
    files = [f"images/{name}.png" for name in LONG[:n]]
    rows = [{"file": file, "value": i / 10} for i, file in enumerate(files)]
    ends = (n + 1) // 3
    report = {
        "task": "skin of everyone that was ever seen here",
        "split": "random",
        "test": {"n": 90},
        "shown": {
            "form": form,
            "measure": "dice",
            "worst": rows[:ends],
            "between": rows[ends : n - ends],
            "best": rows[n - ends :][::-1],
        },
        **more,
    }
    (folder / "report.json").write_text(json.dumps(report))
    tensors = {f"{i:02d}.image": pictures(H, W) if grey else pictures(H, W, 3) for i in range(n)}
    tensors |= {f"{i:02d}.{part}": rows_of[i].clone() for i in range(n) for part, rows_of in parts.items()}
    save_tensors(folder / "answers.safetensors", tensors, {"pathsearch": json.dumps({"files": files})})
    return folder / "answers.safetensors"


@pytest.mark.parametrize("n", [1, 2, 8])
@pytest.mark.parametrize(
    ("form", "number"), [(form, i) for form, several in FORMS.items() for i in range(len(several))]
)
def test_every_form_stays_inside(tmp_path, form, number, n):
    with styled():
        figure = answers(write(tmp_path, form, FORMS[form][number], n, grey=n != 2))
        assert figure is not None
        assert outside(figure) < 0.01
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert sorted(titles) == [f"Dice {i / 10:.3f}" for i in range(n)]
    assert len([axes for axes in figure.axes if axes.get_images()]) == n * {"outlines": 1, "boxes": 1}.get(
        form, 3 + number
    )


def test_boxes_are_where_they_are(tmp_path):
    with styled():
        figure = answers(write(tmp_path, "boxes", FORMS["boxes"][0]))
    assert figure is not None
    true, said = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert true.get_bbox().bounds == pytest.approx((0.1 * W, 0.2 * H, 0.4 * W, 0.7 * H))
    assert said.get_bbox().bounds == pytest.approx((0.2 * W, 0.3 * H, 0.4 * W, 0.7 * H))
    assert true.get_edgecolor() != said.get_edgecolor()
    assert true.get_linestyle() != said.get_linestyle(), "apart without colours, too"


def test_outlines_are_the_edges_of_pixels(tmp_path):
    """A label of rows 3 to 8 and columns 4 to 11 is drawn around them, at half pixels; one at the border closes."""
    with styled():
        figure = answers(write(tmp_path, "outlines", FORMS["outlines"][0]))
    assert figure is not None
    first, second = (figure.axes[0].collections[i].get_paths()[0].get_extents() for i in (0, 1))
    assert first.bounds == pytest.approx((4, 3, 8, 6))
    assert second.bounds == pytest.approx((20, 14, 10, 6))


def test_a_difference_is_black_where_there_is_none(tmp_path):
    from matplotlib.figure import Figure

    from pathsearch.experts.answers import Example

    truth = np.zeros((1, 4, 4), np.uint8)
    answer = truth.copy()
    answer[0, 0, :3] = 10, 63, 200
    axes = Figure().subplots()
    _difference(axes, Example("a", truth[0], {"truth": truth, "answer": answer}))
    drawn = axes.get_images()[0].get_array()
    assert drawn is not None
    assert drawn[0].tolist() == [40, 252, 255, 0]


def test_words_are_text_and_bytes_the_same_again(tmp_path):
    write(tmp_path, "outlines", FORMS["outlines"][0], against_size={"measure": "dice", "n": 3, "size": [0.1, 0.2, 0.4],
                                                                    "value": [0.1, 0.5, 0.9]})  # fmt: skip
    with styled():
        from pathsearch.reports.figure_style import save

        figure = answers(tmp_path / "answers.safetensors")
        assert figure is not None
        files = save(figure, tmp_path / "answers")
        before = [file.read_bytes() for file in files]
        again = answers(tmp_path / "answers.safetensors")
        assert again is not None
        assert [file.read_bytes() for file in save(again, tmp_path / "answers")] == before
    svg = (tmp_path / "answers.svg").read_text()
    for words in ("true", "answered", "Worst", "Between", "Best", "Dice 0.700", "n = 90", "by Dice"):
        assert words in svg


def test_goodness_against_size(tmp_path):
    found = {"measure": "iou", "n": 900, "size": [0.1, 0.2, 0.4], "value": [0.1, 0.5, 0.9]}
    write(tmp_path, "outlines", FORMS["outlines"][0], against_size=found)
    with styled():
        figure = against_size(tmp_path / "report.json")
        assert figure is not None
        assert outside(figure) < 0.01
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("True size (% of the image)", "IoU")
    assert axes.lines[0].get_xdata() == pytest.approx([10, 20, 40])
    assert "n = 900, of which 3 are drawn" in str(figure.get_suptitle()).replace("\n", " ")
    write(tmp_path, "outlines", FORMS["outlines"][0])
    assert against_size(tmp_path / "report.json") is None


def test_what_does_not_fit_is_one_line(tmp_path):
    file = write(tmp_path, "spirals", FORMS["outlines"][0])
    with refused("answers.safetensors: expected what the figure answers needs, got a form 'spirals' of answers"):
        figures._plot(tmp_path, [("answers", file.name, answers)])
    write(tmp_path, "outlines", {"truth": labels()})
    with refused("expected what the figure answers needs, got no entry 'answer'"):
        figures._plot(tmp_path, [("answers", file.name, answers)])
    report = json.loads((tmp_path / "report.json").read_text())
    report["shown"]["worst"][0]["file"] = "images/other.png"
    (tmp_path / "report.json").write_text(json.dumps(report))
    with refused("expected what the figure answers needs, got no entry 'images/other.png'"):
        figures._plot(tmp_path, [("answers", file.name, answers)])
    (tmp_path / "report.json").unlink()
    assert answers(file) is None, "the run still goes on"
