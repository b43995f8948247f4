"""All experts' paths on one grid, and who uses whose modules."""

from __future__ import annotations

from itertools import count as count_up
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from pathsearch.experts.joint_report import JointReport
from pathsearch.experts.run_report import PathCard
from pathsearch.reports.figure_grid import (
    BOX,
    EDGE,
    END,
    END_BOX,
    PLAIN,
    Look,
    Place,
    box,
    check_grid,
    fitting,
    heads,
    lattice,
    line,
)
from pathsearch.reports.figure_style import (
    BLACK,
    BLUE,
    COLUMN,
    GREEN,
    GREY,
    ORANGE,
    PAGE,
    PURPLE,
    SKY,
    SMALL,
    VERMILLION,
    canvas,
    caption,
    compact,
    read_json,
    tidy,
)

LOOKS: list[tuple[str, Any]] = [  # of the tasks in turn: told apart by colour and, printed in grey, by dashes
    (BLUE, "-"),
    (VERMILLION, (0, (5, 1.5))),
    (GREEN, (0, (1.5, 1))),
    (PURPLE, (0, (5, 1.5, 1, 1.5))),
    (ORANGE, "-"),
    (SKY, (0, (5, 1.5))),
    (BLACK, (0, (1.5, 1))),
]


def paths_on_grid(path_file: Path) -> Figure | None:
    """Every path on the grid of a grown run, one colour a task; a module has the edge of the task that trained it.

    Args:
        path_file: as of `path_on_grid`, with `paths`: the active modules of each layer by task, oldest first.

    Returns:
        The figure; None where the grid carries one task only.
    """
    card = read_json(path_file, PathCard)
    paths = card.get("paths") or {}
    if len(paths) < 2:
        return None
    modules: list[list[str]] = card["modules"]
    for path in paths.values():
        check_grid(modules, path, [[] for _ in modules], card["module_parameters"])
    looks = dict(zip(paths, cycle(LOOKS), strict=False))

    figure, axes, height, gap, wide, letters, size = lattice(modules, 0.95)

    lane = {task: height * (k + 0.5) / len(paths) for k, task in enumerate(paths)}  # where a path's sums stand
    shift = {task: BOX * 0.7 * ((k + 0.5) / len(paths) - 0.5) for k, task in enumerate(paths)}  # its lines on a box
    source = {task: (EDGE + END, height / 2 + shift[task]) for task in paths}
    begin, names = heads(card)
    box(axes, Place(EDGE, height / 2, END, 0.42), begin, 6.5, **END_BOX)
    for layer, kinds in enumerate(modules):
        left = EDGE + END + gap + layer * (wide + gap)
        axes.text(left + wide / 2, -0.12, names[layer], ha="center", va="center", fontsize=SMALL)
        users = {i: [task for task, path in paths.items() if i in path[layer]] for i in range(len(kinds))}
        for module, kind in enumerate(kinds):
            y = height * (module + 0.5) / len(kinds)
            look: Look = PLAIN
            if users[module]:
                colour, dashes = looks[users[module][0]]
                weightless = card["module_parameters"][layer][module] == 0
                look = {"facecolor": "white", "edgecolor": GREY if weightless else colour}
                look["linestyle"] = "-" if weightless else dashes
            name = tidy(f"{module}  {kind}", int(letters * fitting(wide, letters) / size))
            box(axes, Place(left, y, wide), name, size, pale=not users[module], **look)
            for task in users[module]:
                end = (left + wide + gap / 2, lane[task])
                _thread(axes, source[task], (left, y + shift[task]), looks[task])
                _thread(axes, (left + wide, y + shift[task]), end, looks[task])
        for task in (task for task, path in paths.items() if path[layer]):
            source[task] = (left + wide + gap / 2, lane[task])
            axes.add_patch(Circle(source[task], 0.035, facecolor=looks[task][0], edgecolor="white", linewidth=0.4))
    past = iter(count_up(1))
    for task, path in paths.items():
        end = (PAGE - EDGE - END, lane[task])
        if any(path):
            _thread(axes, source[task], end, looks[task])
        else:  # the probe goes past all modules
            low = height + 0.05 * next(past)
            start, turn = EDGE + END / 2 + shift[task], end[0] - gap / 4 + shift[task] / 2
            corners = [(start, height / 2 + 0.21), (start, low), (turn, low), (turn, end[1]), end]
            for one, other in pairwise(corners):
                _thread(axes, one, other, looks[task])
        head: Look = {**END_BOX, "edgecolor": looks[task][0], "linestyle": looks[task][1]}
        box(axes, Place(PAGE - EDGE - END, lane[task], END, 0.26), tidy(task, 12), 6.5, **head)
    handles = [Line2D([], [], color=c, linestyle=s, linewidth=1.4, label=task) for task, (c, s) in looks.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6))
    caption(
        figure,
        f"{len(paths)} paths on one grid; a module's edge is that of the task that trained it, grey without weights",
    )
    return figure


def _thread(axes: Axes, start: tuple[float, float], end: tuple[float, float], look: tuple[str, Any]) -> None:
    line(axes, start, end, color=look[0], linestyle=look[1], linewidth=0.8, solid_capstyle="butt", clip_on=False)


def reuse(report_file: Path) -> Figure | None:
    """Parameters and modules of each task by the task that trained them; None where nothing is shared."""
    table = read_json(report_file, JointReport).get("reuse")
    if not table:
        return None
    parameters, modules = np.array(table["parameters"]), np.array(table["modules"], dtype=object)
    tasks, owners = table["tasks"], table["owners"]
    if parameters.shape != (len(tasks), len(owners)) or modules.shape != parameters.shape:
        raise ValueError(f"a reuse matrix of shape {list(parameters.shape)} for {len(tasks)} tasks")
    figure = canvas(max(COLUMN, 1.3 + 0.75 * len(owners)), 1.0 + 0.45 * len(tasks))
    axes = figure.subplots()
    share = 100 * parameters / parameters.sum(axis=1, keepdims=True).clip(1)
    axes.pcolormesh(share, cmap="Blues", vmin=0, vmax=110, edgecolors="white", linewidth=0.8)
    for (row, column), count in np.ndenumerate(parameters):
        used = modules[row, column]
        text = compact(count)
        if count and used is not None:
            text += f"\n{used} module{'' if used == 1 else 's'}"
        colour = "white" if share[row, column] > 60 else "black" if count else GREY
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=colour, fontsize=SMALL)
    axes.set_xticks(np.arange(len(owners)) + 0.5, [tidy(name, 12) for name in owners])
    axes.set_yticks(np.arange(len(tasks)) + 0.5, [tidy(name, 18) for name in tasks])
    axes.set(ylabel="Path of", xlabel="Parameters trained by", ylim=(len(tasks), 0))
    axes.tick_params(length=0, pad=2)
    axes.spines[:].set_visible(False)
    caption(figure, "A task's own parameters include its head")
    return figure
