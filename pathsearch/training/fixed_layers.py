"""Fixed layers that come first in a network: what they put out is computed once for each image and view."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import FileIO
from math import prod
from tempfile import TemporaryFile

import numpy as np
import torch
from torch import nn

from data_prep.whole_files import cannot_write
from pathsearch.encoders.split import Split, Standardiser
from pathsearch.grid.blueprint import Blueprint
from pathsearch.grid.grid import PathNetwork
from pathsearch.grid.modules import Shape
from pathsearch.training.batches import answering_batch
from pathsearch.training.bench import Bench

MOST_BYTES = 4 << 30  # on disk, for one training


@contextmanager
def shortened(bench: Bench, network: PathNetwork) -> Iterator[tuple[Bench, PathNetwork]]:
    """What is left to train of a network, and the bench to train it on, whose images are what its fixed layers put out.

    These are float32, so that the rest sees what it would in the whole network, to rounding. It shares its modules with
    `network`, which learns with it. Both are as they were where no leading layer is fixed, where dropout or noise let
    no two epochs see the same, and where the bench has no folder for it.

    Raises:
        CannotWrite: the disk has no room.
    """
    scratch, same = bench.scratch, bench.last.dropout == 0 and bench.training.noise is None
    parts = _parted(network) if same else None
    if scratch is None or parts is None:
        yield bench, network
        return
    leading, rest, places = parts
    wanted = sum(len(split) for split, _ in _shown(bench)) * sum(map(prod, places.values())) * 4
    if wanted > MOST_BYTES:
        bench.tell.note(f"fixed layers run in every epoch: to keep what they put out takes {wanted:,} bytes")
        yield bench, network
        return
    scratch.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=scratch, buffering=0) as stream:  # it has no name, so that a kill leaves nothing
        try:
            _write(bench, leading, list(places), stream)
        except OSError as error:
            raise cannot_write(scratch / "fixed layers", error) from None
        yield bench.on(*_splits(bench, places, stream)), rest


def _shown(bench: Bench) -> list[tuple[Split, int]]:
    """Splits and views as they lie in the file: validation images with the unchanged ones, as a refit joins them."""
    training = [(bench.training, view) for view in range(len(bench.training.views))]
    return [training[0], (bench.validation, 0), *training[1:]]


def _parted(network: PathNetwork) -> tuple[PathNetwork, PathNetwork, dict[str, Shape]] | None:
    """The fixed layers that come first, the rest, and what that reads; None where nothing fixed comes first."""
    if (whole := network.blueprint) is None:
        return None
    own = {layer.name: network.modules_of(number) for number, layer in enumerate(whole.layers)}
    fixed = [name for name, modules in own.items() if not any(p.requires_grad for p in modules.parameters())]
    first, rest = whole.parted(fixed)
    if first is None or not any(list(own[layer.name].parameters()) for layer in first.layers):
        return None

    def along(part: Blueprint | None, head: nn.Module) -> PathNetwork:
        return PathNetwork([list(own[layer.name]) for layer in part.layers] if part else [], head, part)

    places = rest.places if rest else {whole.head: whole.head_shape}
    return along(first, nn.Identity()), along(rest, network.head), places


@torch.no_grad()
def _write(bench: Bench, leading: PathNetwork, names: Sequence[str], stream: FileIO) -> None:
    """What layers and places of these names have of every image and view, float32."""
    assert leading.blueprint is not None
    size = answering_batch(leading, bench.training.shape)
    for split, view in _shown(bench):
        for positions in torch.arange(len(split)).split(size):
            x = split.batch(positions, torch.full_like(positions, view)).to(bench.device)
            known = leading.blueprint.cut(x) | leading.states(x)
            left = torch.cat([known[name].flatten(1) for name in names], 1).float().cpu().numpy().tobytes()
            while left:  # a disk that fills up takes a part first
                left = left[stream.write(left) :]


def _splits(bench: Bench, places: Mapping[str, Shape], stream: FileIO) -> tuple[Split, Split]:
    """The bench's splits of what was written."""
    n, m, several = len(bench.training), len(bench.validation), len(places) > 1
    shape = (sum(map(prod, places.values())),) if several else next(iter(places.values()))
    array = np.memmap(stream, np.float32, "r", shape=(sum(len(split) for split, _ in _shown(bench)), *shape))
    views = tuple(np.split(array, [m + n * view for view in range(1, len(bench.training.views))]))
    as_is = Standardiser(torch.zeros(1), torch.ones(1))
    of_training = tuple(np.where(rows < 0, -1, np.arange(n)) for rows in bench.training.rows)
    each = ((bench.training, views, of_training), (bench.validation, views[:1], (n + np.arange(m),)))
    training, validation = (
        replace(split, views=own, rows=rows, standardise=as_is, places=places if several else {})
        for split, own, rows in each
    )
    return training, validation
