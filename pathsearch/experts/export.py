"""The whole model as one ONNX graph: encoder, router, experts and thresholds, for any runtime without torch."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from data_prep.errors import PathsearchError
from data_prep.whole_files import appears_whole
from pathsearch.encoders.pooled import pooled
from pathsearch.experts.model import Model
from pathsearch.experts.router import UNKNOWN

OPSET = 18  # what torch's exporter writes by default


class Whole(nn.Module):
    """A model as one function of float images, without files, threads or numpy."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.trunk = model.encoder.trunk
        self.experts = nn.ModuleList(model.experts[task] for task in model.router.tasks)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Task, class, distance, then each task's probabilities.

        Args:
            images: (B, 3, S, S) float32, RGB of 0…255.

        Returns:
            (B,) task and (B,) class in that task, int64, -1 for unknown; (B,) distance over the threshold; and for
            each task (B, K) probabilities, whether the image was routed to it or not. Equal to `Model.answer`.
        """
        encoder = self.model.encoder
        maps = encoder.averaged(encoder.stages(encoder.normalised(images))).half()
        task, distance = self.model.router.send(pooled(maps, encoder.places))
        label = torch.full_like(task, UNKNOWN)
        every = []
        for number, expert in enumerate(self.model.experts[name] for name in self.model.router.tasks):
            p = expert(maps).double().softmax(1)
            threshold = expert.facts.threshold
            said = p.argmax(1) if threshold is None else (p[:, 1] >= threshold).long()  # as decision.decide
            label = torch.where(task == number, said, label)
            every.append(p.float())
        return task, label, distance.float(), *every


def export(model: Model, file: Path) -> None:
    """Write `model` as ONNX, whole; the names of tasks and classes are in its metadata, under `pathsearch`.

    Raises:
        PathsearchError: the packages for it are not installed, or the encoder computes in less than float32: ONNX
            Runtime has no bfloat16 convolutions on the CPU, and float32 in their place gives other distances.
    """
    if not model.encoder.has_trunk:
        raise PathsearchError(
            f"--onnx: expected an encoder with a trunk, got {model.encoder.settings.name}; leave --onnx out"
        )
    if (precision := model.encoder.settings.precision) != "float32":
        raise PathsearchError(
            f"--onnx: expected an encoder of precision float32, got {precision}, which other runtimes do not compute "
            "alike; leave --onnx out, or evolve with --set encoder.precision=float32"
        )
    try:
        import onnxscript  # noqa: F401 (torch needs it, and says so in many lines)
    except ImportError:
        raise PathsearchError(
            "--onnx: expected the packages onnx and onnxscript, got none; pip install 'pathsearch[onnx]'"
        ) from None
    size = model.encoder.settings.image_size
    tasks = model.router.tasks
    program = torch.onnx.export(
        Whole(model).eval(),
        (torch.zeros(2, 3, size, size),),
        input_names=["images"],
        output_names=["task", "class", "distance", *(f"probabilities_{task}" for task in tasks)],
        dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    about = {"image_size": size, "tasks": {task: model.experts[task].facts.classes for task in tasks}}
    program.model.metadata_props["pathsearch"] = json.dumps(about)
    with appears_whole(file) as part:
        program.save(part, external_data=False)
