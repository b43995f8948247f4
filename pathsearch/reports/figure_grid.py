"""One path drawn on the grid that it was found on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, Patch

from pathsearch.encoders.pixels import PIXELS
from pathsearch.experts.run_report import PathCard
from pathsearch.reports.figure_style import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    PAGE,
    SMALL,
    canvas,
    caption,
    compact,
    read_json,
    tidy,
)


class Look(TypedDict, total=False):
    """How a box is drawn."""

    facecolor: str
    edgecolor: str
    hatch: str
    linestyle: Literal["-"] | tuple[float, tuple[float, ...]]


# All in inches.
ROW = 0.27  # from one module to the next
BOX = 0.21  # height of a module's box
END = 0.75  # width of the encoder's and of the head's box
GAP = 1.26, 0.42  # between columns: all of them together, and at most
EDGE = 0.05

PLAIN: Look = {"facecolor": "#F4F4F4", "edgecolor": "#CFCFCF"}
ACTIVE: Look = {"facecolor": "#CFE3F2", "edgecolor": BLUE}
FROZEN: Look = {"hatch": "/////", "edgecolor": ORANGE}
FREE: Look = {"linestyle": (0, (2, 1.5))}
END_BOX: Look = {"facecolor": "white", "edgecolor": BLACK}


def path_on_grid(path_file: Path) -> Figure:
    """The encoder, L columns of M modules, the task's head, and lines along the active modules.

    Args:
        path_file: JSON with `task`, `path`, `layers` (active modules of each layer), `modules` (kinds),
            `module_parameters`, `parameters`, `full_grid_parameters`, and perhaps `frozen`.

    Raises:
        KeyError, ValueError: entries are missing or do not fit one another; called within `blaming`.
    """
    card = read_json(path_file, PathCard)
    modules: list[list[str]] = card["modules"]
    active: list[list[int]] = card["layers"]
    frozen: list[list[int]] = card.get("frozen") or [[] for _ in modules]
    free = [[i for i, size in enumerate(sizes) if size == 0] for sizes in card["module_parameters"]]
    check_grid(modules, active, frozen, card["module_parameters"])

    figure, axes, height, gap, wide, letters, size = lattice(modules, 0.85)
    middle = height / 2
    source = (EDGE + END, middle)  # where the lines into a layer begin
    begin, names = heads(card)
    box(axes, Place(EDGE, middle, END, 0.42), begin, 6.5, **END_BOX)
    for layer, kinds in enumerate(modules):
        left = EDGE + END + gap + layer * (wide + gap)
        total = (left + wide + gap / 2, middle)
        axes.text(left + wide / 2, -0.12, names[layer], ha="center", va="center", fontsize=SMALL)
        for module, kind in enumerate(kinds):
            y = height * (module + 0.5) / len(kinds)
            look: Look = {
                **(ACTIVE if module in active[layer] else PLAIN),
                **(FROZEN if module in frozen[layer] else {}),
                **(FREE if module in free[layer] else {}),
            }
            name = tidy(f"{module}  {kind}", int(letters * fitting(wide, letters) / size))
            box(axes, Place(left, y, wide), name, size, pale=look["edgecolor"] == PLAIN["edgecolor"], **look)
            if module in active[layer]:
                line(axes, source, (left, y))
                line(axes, (left + wide, y), total)
        if not active[layer]:
            continue
        axes.add_patch(Circle(total, 0.075, facecolor="white", edgecolor=BLUE, linewidth=0.8, zorder=3))
        axes.text(*total, "+", ha="center", va="center_baseline", fontsize=SMALL, color=BLUE, zorder=4)
        source = (total[0] + 0.075, middle)
    if any(active):
        line(axes, source, (PAGE - EDGE - END, middle))
    else:  # the probe goes past all of them
        corners = [(x, height + 0.05) for x in (EDGE + END / 2, PAGE - EDGE - END / 2)]
        ends = [(x, middle + 0.21) for x, _ in corners]
        for start, end in pairwise([ends[0], *corners, ends[1]]):
            line(axes, start, end, clip_on=False)
    box(axes, Place(PAGE - EDGE - END, middle, END, 0.42), f"{tidy(card['task'], 12)}\nhead", 6.5, **END_BOX)

    keys = [("on the path", ACTIVE), ("not on the path", PLAIN)]
    keys += [("frozen: of a finished expert", {**PLAIN, **FROZEN})] if any(frozen) else []
    keys += [("without parameters", {**PLAIN, **FREE, "edgecolor": GREY})] if any(free) else []
    handles = [Patch(label=label, linewidth=0.8, **look) for label, look in keys]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(keys))
    own, whole = compact(card["parameters"]), compact(card["full_grid_parameters"])
    caption(figure, f"{card['task']}: path {card['path']}, {own} of the full grid's {whole} parameters")
    return figure


class Lattice(NamedTuple):
    """A page for L layers of modules side by side, in inches."""

    figure: Figure
    axes: Axes  # without lines; from the upper left
    height: float
    gap: float  # between layers
    wide: float  # of a layer
    letters: int  # of the longest module, with the index before it
    size: float  # of letters, in points, that fit into a layer


def lattice(modules: Sequence[Sequence[str]], below: float) -> Lattice:
    """An empty page for these modules, with so much room for what stands above and below them."""
    height = ROW * max(map(len, modules))
    figure = canvas(PAGE, height + below)
    axes = figure.subplots()
    axes.set(xlim=(0, PAGE), ylim=(height, -0.25), aspect="equal")
    axes.set_axis_off()
    gap = min(GAP[0] / len(modules), GAP[1])
    wide = (PAGE - 2 * (END + EDGE) - (len(modules) + 1) * gap) / len(modules)
    letters = max(len(kind) for kinds in modules for kind in kinds) + 3
    return Lattice(figure, axes, height, gap, wide, letters, float(np.clip(fitting(wide, letters), 4.5, 6.5)))


def check_grid(modules: list[list[str]], *others: list[list[int]]) -> None:
    """Refuse indices outside the grid, and lists that are not one a layer."""
    active, frozen, sizes = others
    if not modules or any(len(lists) != len(modules) for lists in others):
        raise ValueError("modules, layers, frozen and module_parameters that differ in their number of layers")
    for layer, kinds in enumerate(modules):
        outside = {*active[layer], *frozen[layer]} - set(range(len(kinds)))
        if outside or len(sizes[layer]) != len(kinds):
            fault = f"modules {sorted(outside)}" if outside else f"{len(sizes[layer])} module_parameters"
            raise ValueError(f"{fault} in layer {layer + 1} of {len(kinds)} modules")


class Place(NamedTuple):
    """Where a box stands: from `x` rightwards, around height `y`."""

    x: float
    y: float
    width: float
    tall: float = BOX


def fitting(width: float, letters: int) -> float:
    """Points at which so many letters fill a box `width` inches wide; DejaVu Sans averages 0.6 em."""
    return 0.95 * width * 72 / (0.6 * letters)


def heads(card: PathCard) -> tuple[str, list[str]]:
    """What the paths begin at, and what stands above each layer."""
    reads = card.get("reads")
    if not reads:
        return "encoder", [f"Layer {number}" for number in range(1, len(card["modules"]) + 1)]
    if len(reads) != len(card["modules"]):
        raise ValueError(f"reads: expected one for each of {len(card['modules'])} layers, got {len(reads)}")
    return PIXELS if PIXELS in reads[0][1] else "encoder", [name for name, _ in reads]


def box(
    axes: Axes,
    place: Place,
    text: str,
    size: float,
    pale: bool = False,
    **look: Any,
) -> None:
    """A rounded box with `text` of `size` points in it."""
    x, y, width, tall = place
    corner, shape = (x + 0.04, y - tall / 2 + 0.04), "round,pad=0.04,rounding_size=0.05"
    axes.add_patch(FancyBboxPatch(corner, width - 0.08, tall - 0.08, boxstyle=shape, linewidth=0.8, zorder=2, **look))
    halo = {"boxstyle": "square,pad=0.08", "facecolor": look["facecolor"], "edgecolor": "none"}
    label = axes.text(x + width / 2, y, text, ha="center", va="center", fontsize=size, zorder=4)
    label.set(color=GREY if pale else BLACK, bbox=halo if "hatch" in look else None)


def line(axes: Axes, start: tuple[float, float], end: tuple[float, float], **look: Any) -> None:
    """A thin line under everything else."""
    look = {"color": BLUE, "linewidth": 0.9, "zorder": 1, "solid_capstyle": "round", **look}
    axes.plot(*zip(start, end, strict=True), **look)
