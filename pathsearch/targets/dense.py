"""Targets that answer at every position of a map: their head, and how a map is brought to the size of the truth."""

from __future__ import annotations

from abc import abstractmethod
from math import prod
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from data_prep.errors import PathsearchError
from pathsearch.targets.target import Shape, Target


class DenseTarget(Target):
    """A target whose answer is a map. Outputs are (P, B, channels, h, w), of whatever height and width."""

    reads_maps: ClassVar[bool] = True

    @property
    @abstractmethod
    def channels(self) -> int:
        """Of the head's map."""

    def head(self, shape: Shape) -> tuple[str, Shape]:
        """A linear map at every position.

        Raises:
            PathsearchError: `shape` is no map.
        """
        if len(shape) != 3:
            raise PathsearchError(
                f"target {self.kind}: expected the blueprint to end in a map (channels, height, width), got {shape}; "
                "take one that does, such as --encoder pixels --blueprint unet"
            )
        return "map", (self.channels, *shape[1:])

    def held(self, shape: Shape, truth: Tensor) -> int:
        """The head's map, or the map at the size of the truth, which may be larger."""
        return max(super().held(shape, truth), self.channels * prod(truth.shape[-2:]))

    @staticmethod
    def at_size(outputs: Tensor, size: tuple[int, int]) -> Tensor:
        """(P, B, channels, H, W) of outputs (P, B, channels, h, w), by bilinear interpolation; as they are if they fit.

        A coarse map, such as that of a frozen encoder, answers too; its outlines are as blurred as it is coarse.
        """
        if tuple(outputs.shape[-2:]) == size:
            return outputs
        found = F.interpolate(outputs.flatten(0, 1), size=size, mode="bilinear", align_corners=False)
        return found.unflatten(0, tuple(outputs.shape[:2]))
