"""A network fixed for good, and the digest that says whether it is another's equal."""

from __future__ import annotations

import hashlib

from torch import Tensor, nn


class Frozen(nn.Module):
    """A network fixed for good: no gradients, and evaluation mode that no parent's `train()` can leave."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Frozen:
        """Stay in evaluation mode: batch normalisation would otherwise keep learning."""
        return super().train(False)

    def forward(self, x: Tensor) -> Tensor:
        """Run it; see the class."""
        return self.network(x)


def frozen(network: nn.Module) -> Frozen:
    """Freeze parameters, buffers and mode of a network; the one place where that is done."""
    return Frozen(network).eval()


def digest(network: nn.Module) -> str:
    """SHA-256 over names and bytes of all parameters and buffers."""
    sha = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        sha.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()
