"""The whole model as one ONNX graph: encoder, router, experts and thresholds, for any runtime without torch."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from data_prep.errors import PathsearchError
from data_prep.table_words import folder_of
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
        self.experts = nn.ModuleList(model.experts.values())

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Task, class, distance, then what each expert says.

        Args:
            images: (B, 3, S, S) float32, RGB of 0…255.

        Returns:
            (B,) task and (B,) class in that task, int64, -1 for unknown or no class; (B,) distance over the threshold;
            and for each expert what its target says of the outputs, such as (B, K) probabilities, or those of each
            pixel at the size of the network's map, whether the image was routed to its task or not. Equal to
            `Model.answer`.
        """
        encoder = self.model.encoder
        maps = encoder.graphed(images)
        task, distance = self.model.router.send(encoder.seen(maps))
        label = torch.full_like(task, UNKNOWN)
        every, tasks = [], list(self.model.router.tasks)
        for name, expert in self.model.experts.items():
            number, outputs, threshold = tasks.index(folder_of(name)), expert(maps), expert.facts.threshold
            if expert.target.gives == "class":
                p = outputs.double().softmax(1)
                said = p.argmax(1) if threshold is None else (p[:, 1] >= threshold).long()  # as decision.decide
                label = torch.where(task == number, said, label)
            every.append(expert.target.graphed(outputs, threshold)[1])
        return task, label, distance.float(), *every

    def names(self) -> list[str]:
        """Of what it puts out; of an expert by its form and its task.

        Raises:
            PathsearchError: two have one name, which only targets of plug-ins can.
        """
        images = torch.zeros(1, 3, *[self.model.encoder.settings.image_size] * 2)
        with torch.no_grad():
            maps = self.model.encoder.graphed(images)
            each = self.model.experts.items()
            said = [f"{one.target.graphed(one(maps), None)[0]}_{folder_of(name)}" for name, one in each]
        if twice := [name for name in said if said.count(name) > 1]:
            raise PathsearchError(
                f"--onnx: expected a name of its own for what each expert puts out, got {twice[0]} twice; give their "
                "targets a method `graphed` that names them, or leave --onnx out"
            )
        return ["task", "class", "distance", *said]


def export(model: Model, file: Path) -> None:
    """Write `model` as ONNX, whole; names are in its metadata, under `pathsearch`.

    There `tasks` are the experts in the order of their outputs, with the names that their answers are made of, and
    `routed` is what the output `task` counts: tasks of one folder are one there.

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
    names = {name: one.facts.classes for name, one in model.experts.items()}
    about = {"image_size": size, "tasks": names, "routed": list(model.router.tasks)}
    if others := {task: one.facts.target for task, one in model.experts.items() if one.facts.target != DEFAULT}:
        about["targets"] = others
    program.model.metadata_props["pathsearch"] = json.dumps(about)
    with appears_whole(file) as part:
        program.save(part, external_data=False)
