"""Spaces of paths and paths of them, drawn by hypothesis."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from pathsearch.grid.path import Path, Space


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    n_modules = draw(st.integers(1, 8))
    return Space(draw(st.integers(1, 4)), n_modules, draw(st.integers(1, min(4, n_modules))))


@st.composite
def paths_of(draw: st.DrawFn, space: Space) -> Path:
    layer = st.lists(st.integers(0, space.n_modules - 1), min_size=1, max_size=space.max_active, unique=True)
    return Path.of([draw(layer) for _ in range(space.n_layers)])


@st.composite
def cases(draw: st.DrawFn, n_paths: int = 1) -> tuple[Space, list[Path], random.Random]:
    space = draw(spaces())
    return space, [draw(paths_of(space)) for _ in range(n_paths)], random.Random(draw(st.integers(0, 2**32)))
