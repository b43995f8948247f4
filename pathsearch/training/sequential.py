"""PathNet as it was published: paths trained one after another on the shared weights. The rival of the one pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pathsearch.grid.path import Path
from pathsearch.training.fitness import Progress, SharedWeights


class SequentialWeights(SharedWeights):
    """Every path gets the generation's minibatches for itself, and the optimiser steps for it alone.

    Source: Fernando et al. 2017, section 2, without its parallel workers; as public PathNet code does it.
    """

    def train(self, paths: Sequence[Path], generation: int) -> Progress:
        """Train along each path in turn, each with minibatches of its own."""
        each = [
            super(SequentialWeights, self).train([path], generation * len(paths) + i) for i, path in enumerate(paths)
        ]
        loss, accuracy = np.mean(each, axis=0)
        return Progress(float(loss), float(accuracy))
