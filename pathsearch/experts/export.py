"""The whole model as one ONNX graph: encoder, router, experts and thresholds, for any runtime without torch."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from data_prep.errors import PathsearchError
from data_prep.whole_files import appears_whole
from pathsearch.experts.model import Model
from pathsearch.experts.router import UNKNOWN
from pathsearch.targets.target import DEFAULT

OPSET = 18  # what torch's exporter writes by default


class Whole(nn.Module):
    """A model as one function of float images, without files, threads or numpy."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        if model.encoder.has_trunk:
            self.trunk = model.encoder.trunk
        self.experts = nn.ModuleList(model.experts[task] for task in model.router.tasks)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Task, class, distance, then what each task's expert says.

        Args:
            images: (B, 3, S, S) float32, RGB of 0…255.

        Returns:
            (B,) task and (B,) class in that task, int64, -1 for unknown or no class; (B,) distance over the threshold;
            and for each task what its target says of the outputs, such as (B, K) probabilities, or those of each pixel
            at the size of the network's map, whether the image was routed to it or not. Equal to `Model.answer`.
        """
        encoder = self.model.encoder
        maps = encoder.graphed(images)
        task, distance = self.model.router.send(encoder.seen(maps))
        label = torch.full_like(task, UNKNOWN)
        every = []
        for number, expert in enumerate(self.model.experts[name] for name in self.model.router.tasks):
            outputs, threshold = expert(maps), expert.facts.threshold
            if expert.target.gives == "class":
                p = outputs.double().softmax(1)
                said = p.argmax(1) if threshold is None else (p[:, 1] >= threshold).long()  # as decision.decide
                label = torch.where(task == number, said, label)
            every.append(expert.target.graphed(outputs, threshold)[1])
        return task, label, distance.float(), *every

    def names(self) -> list[str]:
        """Of what it puts out."""
        images = torch.zeros(1, 3, *[self.model.encoder.settings.image_size] * 2)
        with torch.no_grad():
            maps = self.model.encoder.graphed(images)
            experts = {task: self.model.experts[task] for task in self.model.router.tasks}
            said = [f"{one.target.graphed(one(maps), None)[0]}_{task}" for task, one in experts.items()]
        return ["task", "class", "distance", *said]


def export(model: Model, file: Path) -> None:
    """Write `model` as ONNX, whole; the names of tasks and classes are in its metadata, under `pathsearch`.

    Raises:
        PathsearchError: the packages for it are not installed, or the encoder computes in less than float32: ONNX
            Runtime has no bfloat16 convolutions on the CPU, and float32 in their place gives other distances.
    """
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
    whole = Whole(model).eval()
    program = torch.onnx.export(
        whole,
        (torch.zeros(2, 3, size, size),),
        input_names=["images"],
        output_names=whole.names(),
        dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    about = {"image_size": size, "tasks": {task: model.experts[task].facts.classes for task in tasks}}
    if others := {task: one.facts.target for task, one in model.experts.items() if one.facts.target != DEFAULT}:
        about["targets"] = others
    program.model.metadata_props["pathsearch"] = json.dumps(about)
    with appears_whole(file) as part:
        program.save(part, external_data=False)
