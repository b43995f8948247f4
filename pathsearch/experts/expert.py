"""An expert: a fixed path with its fixed weights, in one safetensors file that rebuilds it anywhere."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path as FilePath
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from data_prep.errors import PathsearchError
from data_prep.whole_files import file_sha256
from pathsearch.encoders.frozen import frozen
from pathsearch.encoders.split import Standardiser
from pathsearch.grid import modules
from pathsearch.grid.blueprint import FEATURES, Blueprint
from pathsearch.grid.grid import PathNetwork, probe
from pathsearch.grid.path import Path
from pathsearch.grid.plugins import check_plugins
from pathsearch.run.fields import check_fields
from pathsearch.run.tensor_file import load_tensors, save_tensors
from pathsearch.targets.classes import probabilities
from pathsearch.targets.decision import decide
from pathsearch.targets.target import DEFAULT, Said, make_target
from pathsearch.training.batches import answering_batch

FORMAT = 1
FACTS: dict[str, Any] = {  # types of the facts in a file
    **{"task": str, "classes": list, "path": str, "specifications": list, "shapes": list},
    **{"encoder": dict, "threshold": (float, int, type(None)), "split": str, "seed": int},
    **{"target": str, "wiring": (dict, type(None))},
}


@dataclass(frozen=True)
class ExpertFacts:
    """What an expert is, apart from its weights."""

    task: str
    classes: list[str]  # the names that its target makes answers of
    path: str
    specifications: list[list[str]]  # of the modules on the path, by layer
    shapes: list[list[int]]  # of the features, then the output of each layer
    encoder: dict[str, Any]  # the encoder's identity: features of another one mean nothing here
    threshold: float | None  # what its target fixed on validation, if anything
    split: str
    seed: int
    plugins: list[str] = field(default_factory=list)  # NAME=SHA-256 of those that its parts came from
    target: str = DEFAULT  # what its task asks for; a file of the default does not say so
    wiring: dict[str, Any] | None = None  # what the layers read, see `Blueprint.wiring`; None for a chain, not said

    def noted(self) -> dict[str, Any]:
        """As a file says them."""
        unsaid = [("target", DEFAULT), ("wiring", None)]
        return {name: value for name, value in asdict(self).items() if (name, value) not in unsaid}


class Expert(nn.Module):
    """A frozen path for one task: raw feature maps in, what its target makes of them out."""

    def __init__(self, facts: ExpertFacts, network: PathNetwork, standardise: Standardiser) -> None:
        super().__init__()
        self.facts = facts
        self.network = frozen(network)
        self.standardise = standardise
        self.target = make_target(facts.target, facts.classes)

    def forward(self, maps: Tensor) -> Tensor:  # (B, C, H, W) -> (B, …)
        """What the network puts out, differentiable; see `outputs`."""
        return self.network(self.standardise(maps))

    @torch.inference_mode()
    def outputs(self, maps: Tensor) -> Tensor:
        """(B, …), such as K logits, of raw encoder maps (B, C, H, W), float16 or float32."""
        if tuple(maps.shape[1:]) != tuple(self.facts.shapes[0]):
            raise PathsearchError(
                f"expert {self.facts.task}: expected feature maps {tuple(self.facts.shapes[0])}, got "
                f"{tuple(maps.shape[1:])}; encode with {self.facts.encoder['name']} at "
                f"{self.facts.encoder['image_size']} px"
            )
        return self(maps)

    def said(self, maps: Tensor, truth: Tensor, in_full: bool = False) -> Said:
        """What is kept of its answers to maps of images whose truth is known; in full, with what is dear to measure."""
        return (self.target.said_in_full if in_full else self.target.said)(self.outputs(maps).double(), truth)

    def probabilities(self, maps: Tensor) -> np.ndarray:
        """(B, K) float64 class probabilities."""
        return probabilities(self.said(maps, torch.empty(0)))

    def classify(self, probabilities: np.ndarray) -> np.ndarray:
        """(B,) class indices, by the threshold that was fixed on validation."""
        return decide(probabilities, self.facts.threshold)

    @property
    def path_network(self) -> PathNetwork:
        """The network itself, without what keeps it fixed."""
        return cast("PathNetwork", self.network.network)

    @property
    def at_once(self) -> int:
        """Images that it is asked at once, as memory allows."""
        return answering_batch(self.path_network, tuple(self.facts.shapes[0]))

    def n_parameters(self) -> int:
        """Number of weights on the path and in the head."""
        return sum(p.numel() for p in self.network.parameters())

    def save(self, file: FilePath) -> str:
        """Write the expert whole and return the file's SHA-256; equal experts give equal bytes."""
        tensors: dict[str, Tensor] = self.network.network.state_dict()
        tensors |= {"standardise.mean": self.standardise.mean, "standardise.std": self.standardise.std}
        # one metadata key: the library keeps several in no fixed order
        note = json.dumps({"format": FORMAT, **self.facts.noted()}, sort_keys=True)
        save_tensors(file, tensors, {"pathsearch": note})
        return file_sha256(file)

    @classmethod
    def load(cls, file: FilePath) -> Expert:
        """Read an expert back.

        Raises:
            PathsearchError: the file is missing, damaged, or not an expert.
        """
        tensors, texts = load_tensors(file, "expert", "has its run finished? See report.json beside it")
        note = texts.get("pathsearch")
        try:
            facts = json.loads(note or "{}")
            own_format = facts.pop("format", None) == FORMAT
            known = ExpertFacts(**facts) if own_format else None
        except (ValueError, TypeError, AttributeError, RecursionError):  # not JSON, no object, other fields
            known = None
        if known is None:
            raise PathsearchError(f"expert {file}: expected an expert file of format {FORMAT}; it says {note!r:.60}")
        check_fields({"target": DEFAULT, "wiring": None, **facts}, FACTS, file)
        check_plugins(known.plugins, f"expert {file}")
        try:
            standardise = Standardiser(tensors.pop("standardise.mean"), tensors.pop("standardise.std"))
            if not _standardises(standardise, known.shapes[0]):
                raise KeyError("standardise is of another shape")
            network = _rebuild(known)
            network.load_state_dict(tensors)
        except PathsearchError as error:
            raise PathsearchError(f"expert {file}: {error}") from None
        except (RuntimeError, KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
            why = (str(error).splitlines() or [type(error).__name__])[-1].strip()
            raise PathsearchError(f"expert {file}: weights do not fit its path ({why}); restore the file") from None
        return cls(known, network, standardise)


def _standardises(standardise: Standardiser, shape: list[int]) -> bool:
    """Whether it has a mean and spread of each value, or, of pixels, of each channel."""
    allowed = (torch.Size(shape), torch.Size([shape[0], 1, 1])) if len(shape) == 3 else (torch.Size(shape),)
    return standardise.mean.shape == standardise.std.shape and standardise.mean.shape in allowed


def _rebuild(facts: ExpertFacts) -> PathNetwork:
    """The network of an expert, its weights yet to be filled in."""
    nothing, target = torch.Generator(), make_target(facts.target, facts.classes)
    if Path.parse(facts.path).is_probe:  # which refuses nonsense with a clear line
        wiring = facts.wiring or {"places": [[FEATURES, *facts.shapes]], "layers": []}
        if facts.specifications or wiring["layers"] or len(facts.shapes) != 1:
            raise PathsearchError(
                f"expected no module, no wiring and one shape with path {facts.path}, got {len(facts.specifications)} "
                f"layers of modules, wiring {facts.wiring!r:.60} and {len(facts.shapes)} shapes; restore the file"
            )
        return probe(target, {name: tuple(shape) for name, shape in wiring["places"]}, nothing)
    blueprint = Blueprint.of([tuple(shape) for shape in facts.shapes], facts.specifications, facts.wiring)
    layers = [
        [modules.build(kind, in_shape, layer.out_shape, nothing) for kind in layer.modules]
        for layer, in_shape in zip(blueprint.layers, blueprint.in_shapes, strict=True)
    ]
    head, out_shape = target.head(blueprint.head_shape)
    return PathNetwork(layers, modules.build(head, blueprint.head_shape, out_shape, nothing), blueprint)
