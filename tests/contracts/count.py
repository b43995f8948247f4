"""A target of one's own in one file: how many blobs an image shows. A task asks for it by `"target": "count"`."""

import torch

from pathsearch.targets import Target, register


@register("count")
class Count(Target):
    """A number; the labels of the task are numbers. An answer is worth 1, a half, a third … as it is 0, 1, 2 … off."""

    measures = ("closeness",)
    rates = summed = ("closeness", "loss")

    def truth(self, task, split):
        """(n,) numbers."""
        numbers = torch.tensor([float(name) for name in self.names])
        return numbers[torch.from_numpy(task.labels(split))]

    def head(self, shape):
        """One output."""
        return "linear", (1,)

    def each_loss(self, outputs, truth):
        """Squared error."""
        return (outputs[..., 0] - truth) ** 2

    def each_quality(self, outputs, truth):
        """From 0 to 1."""
        return 1 / (1 + (outputs[..., 0] - truth).abs())
