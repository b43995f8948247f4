"""Blueprints of networks from pixels down to small maps, and up again to large ones; or up from an encoder's stages.

Layers down come first, each at half the size of the one before, then what classes and boxes are read from, then layers
up. A task's grid is what leads to its head, so tasks of different targets share the layers down and no others.

Where the source is an encoder's stages at their own sizes, the smallest first, these stand for layers down, and there
is a layer up at the size of each larger one, or of the only one.
"""

from __future__ import annotations

from itertools import cycle, islice

from data_prep.errors import PathsearchError
from pathsearch.encoders.pooled import STAGE
from pathsearch.grid import map_modules as map_modules  # enters the kinds that these are made of
from pathsearch.grid.blueprint import FEATURES, Blueprint, Layer, register
from pathsearch.grid.modules import Shape
from pathsearch.run.settings import GridSettings

DEPTH = 4  # halvings
UMS_REP = (32, 64, 128, 256)  # channels down; the paper names none: these have 0.78 million weights, and its 0.80
U_NET = (16, 32, 64, 128, 128)  # channels at each size, from the image's own down
SHARE, MOST = 4, 128  # channels up: this part of the stage's, at most so many; with VGG-16's, those of the U-Net
HEADS = {"class": "pooled", "box": "placed"}


def _image(name: str, places: dict[str, Shape]) -> tuple[str, Shape]:
    """The only place, a map whose sides can be halved as often as wanted."""
    (place, shape), *others = places.items()
    if others or len(shape) != 3 or place == FEATURES:  # all of an encoder's at one small size
        raise PathsearchError(
            f"blueprint {name}: expected the image's pixels as one map, or an encoder's stages, got {places}; give "
            "--encoder pixels, or --set encoder.sizes=own"
        )
    if any(side % 2**DEPTH for side in shape[1:]):
        raise PathsearchError(
            f"blueprint {name}: expected sides that are multiples of {2**DEPTH}, got {shape[1]}x{shape[2]}; "
            f"give --encoder pixels and --image-size {max(2**DEPTH, round(shape[1] / 2**DEPTH) * 2**DEPTH)}"
        )
    return place, shape


@register("ums-rep")
def ums_rep(places: dict[str, Shape], settings: GridSettings) -> Blueprint:
    """Four strided convolutions and as many after upsampling: an autoencoder, whose layers down many tasks share.

    Where the paper has batch norm after each convolution, the grid's layer norm stands, which keeps no statistics.

    Source: Zamzmi, Rajaraman and Antani 2021, "UMS-Rep: Unified modality-specific representation for efficient medical
    image analysis", figure 6.
    """
    if _stages(places):
        return _decoder(places, settings, "strided", skips=False)
    place, (_, height, width) = _image("ums-rep", places)
    layers, read = [], place
    for level, channels in enumerate(UMS_REP, 1):
        side = (height >> level, width >> level)
        twice = (2 * side[0], 2 * side[1])
        layers.append(Layer(f"down{level}", (read,), (channels, *side), _several(settings, "strided"), twice))
        read = f"down{level}"
    layers += _vectors(read, settings)
    for level in reversed(range(DEPTH)):
        channels = UMS_REP[level - 1] if level else UMS_REP[0] // 2
        side = (height >> level, width >> level)
        layers.append(Layer(f"up{level}", (read,), (channels, *side), _several(settings, "strided")))
        read = f"up{level}"
    return Blueprint(places, tuple(layers), heads=HEADS)


@register("unet")
def unet(places: dict[str, Shape], settings: GridSettings) -> Blueprint:
    """A U-Net: layers up read the one below and what the layer down of their own size put out.

    Source: Ronneberger, Fischer and Brox 2015; blocks and strided layers down as in nnU-Net, Isensee et al. 2021.
    """
    if _stages(places):
        return _decoder(places, settings, "double", skips=True)
    place, (_, height, width) = _image("unet", places)
    layers, read = [], place
    for level, channels in enumerate(U_NET):
        side = (height >> level, width >> level)
        twice = (2 * side[0], 2 * side[1]) if level else None
        layers.append(Layer(f"down{level}", (read,), (channels, *side), _several(settings, "double"), twice))
        read = f"down{level}"
    layers += _vectors(read, settings)
    for level in reversed(range(DEPTH)):
        shape = (U_NET[level], height >> level, width >> level)
        layers.append(Layer(f"up{level}", (read, f"down{level}"), shape, _several(settings, "double")))
        read = f"up{level}"
    return Blueprint(places, tuple(layers), heads=HEADS)


def _stages(places: dict[str, Shape]) -> bool:
    """Whether these are an encoder's, at their own sizes."""
    return all(name.startswith(STAGE) for name in places)


def _decoder(places: dict[str, Shape], settings: GridSettings, kind: str, *, skips: bool) -> Blueprint:
    """Up from the smallest of an encoder's stages; with skips, each layer reads the stage of its own size too."""
    read, *larger = places
    layers = _vectors(read, settings)
    for number, place in enumerate(larger or [read], 1):
        channels, *side = places[place]
        reads = (read, place) if skips and place != read else (read,)
        shape = (max(1, min(MOST, channels // SHARE)), *side)
        layers.append(Layer(f"up{number}", reads, shape, _several(settings, kind)))
        read = f"up{number}"
    return Blueprint(places, tuple(layers), heads=HEADS)


def _vectors(deepest: str, settings: GridSettings) -> list[Layer]:
    """What classes are read from, the mean over places, and boxes, which must know the places."""
    width = (settings.width,)
    return [
        Layer("pooled", (deepest,), width, _several(settings, "pool")),
        Layer("placed", (deepest,), width, _several(settings, "conv1x1-8")),
    ]


def _several(settings: GridSettings, *kinds: str) -> tuple[str, ...]:
    """M modules of a layer."""
    return tuple(islice(cycle(kinds), settings.n_modules))
