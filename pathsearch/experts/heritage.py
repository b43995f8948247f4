"""Earlier experts on a grid: put them in their places, fix them there, and prove that nothing moved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, TypedDict, cast

import torch
from torch import nn

from data_prep.errors import PathsearchError
from data_prep.whole_files import file_sha256
from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.split import PIXEL, Split
from pathsearch.experts.expert import Expert
from pathsearch.grid.blueprint import Blueprint
from pathsearch.grid.grid import Grid, PathNetwork, device_of
from pathsearch.grid.path import Layers, Path
from pathsearch.run.runs import Run, find_run
from pathsearch.run.same_encoder import differences, value


@dataclass(frozen=True)
class Ancestor:
    """One earlier expert, and the digest of its file before the new search."""

    run: Run
    expert: Expert
    sha256: str


class EarlierExpert(TypedDict):
    """The proof that an expert on the grid is what it was."""

    task: str
    run: str
    file_sha256_before: str
    file_sha256_after: str
    logits_identical: bool


@dataclass(frozen=True)
class Heritage:
    """The experts that a grid already carries, oldest first; none for a new grid."""

    ancestors: list[Ancestor] = field(default_factory=list)

    @classmethod
    def of(cls, runs_dir: FilePath, name: str | None) -> Heritage:
        """The expert of run `name`, those that were trained together with it, and all that these were grown from.

        Raises:
            PathsearchError: a run is missing, or not finished.
        """
        line: list[Ancestor] = []
        while name is not None:
            run = find_run(runs_dir, name)
            together = (find_run(run.folder.parent, one) for one in _partners(run) if one != run.name)
            for one in (run, *together):
                if not one.finished:
                    raise PathsearchError(
                        f"--grid {name}: run {one.name} has no report yet; finish it with --resume first"
                    )
                one.verify()
                if one.folder in [ancestor.run.folder for ancestor in line]:
                    raise PathsearchError(
                        f"--grid {name}: was grown from itself, as its config.json says; restore the file"
                    )
                line.append(Ancestor(one, Expert.load(one.expert_file), file_sha256(one.expert_file)))
            name = run.settings().grown_from
        return cls(line[::-1])

    def check(self, task: str, encoder: Encoder, grid_settings: Any) -> None:
        """Raise `PathsearchError` if a new task cannot go on this grid."""
        for ancestor in self.ancestors:
            facts, own = ancestor.expert.facts, encoder.identity
            for name in differences([facts.encoder, own]):
                raise PathsearchError(
                    f"--grid {ancestor.run.name}: its encoder has {name} {value(facts.encoder, name)}, this one "
                    f"{value(own, name)}; one grid needs one encoder, so give the same --encoder options"
                )
            if facts.task == task:
                raise PathsearchError(f"--grid {ancestor.run.name}: the grid already carries task {task!r}")
            if not encoder.has_trunk and (ancestor.expert.standardise.mean != PIXEL[0]).any():
                raise PathsearchError(
                    f"--grid {ancestor.run.name}: is of an earlier version, whose pixels had another mean for each "
                    "task; train it again"
                )
            if ancestor.run.settings().grid != grid_settings:
                raise PathsearchError(
                    f"--grid {ancestor.run.name}: was made with {ancestor.run.settings().grid}, now {grid_settings}; "
                    "give the same grid options"
                )

    def check_grown(self, run: Run, found: Sequence[EarlierExpert]) -> None:
        """Raise `PathsearchError` if a finished run, which found these experts on the grid, stands on others now."""
        then = {row["run"]: row["file_sha256_after"] for row in found}
        for ancestor in self.ancestors:
            if then.get(ancestor.run.name) != ancestor.sha256:
                raise PathsearchError(
                    f"run {run.name}: was grown from another expert than run {ancestor.run.name} has now, which was "
                    "made again since; start it again with --overwrite"
                )

    def settle(self, grid: Grid) -> None:
        """Put the experts' weights into their places on `grid` and fix them there."""
        settle(grid, [ancestor.expert for ancestor in self.ancestors])

    def files(self) -> list[FilePath]:
        """The experts' files, oldest first."""
        return [ancestor.run.expert_file for ancestor in self.ancestors]

    def paths(self, grid: Grid) -> dict[str, Layers]:
        """Active modules of the earlier experts in each layer of `grid`, by task, oldest first."""
        return {one.expert.facts.task: layers_on(grid, one.expert) for one in self.ancestors}

    def occupied(self, grid: Grid) -> list[list[int]]:
        """Modules on earlier experts' paths, by layer."""
        each = self.paths(grid).values()
        return [sorted({i for layers in each for i in layers[n]}) for n in range(len(grid.layers))]

    @torch.no_grad()
    def verify(self, grid: Grid, split: Split) -> list[EarlierExpert]:
        """Compare every earlier expert, bit for bit, with what it was: its file, and its outputs from the grid.

        One that stands on the grid in part, since it ends in other layers, answers from its file; its modules on the
        grid are compared one by one.

        Raises:
            PathsearchError: one of them has changed.
        """
        rows: list[EarlierExpert] = []
        maps = split.raw(torch.arange(min(64, len(split))))
        for ancestor in self.ancestors:
            facts = ancestor.expert.facts
            now = file_sha256(ancestor.run.expert_file)
            path, again = Path.parse(facts.path), ancestor.expert.standardise(maps)
            if _stands(grid, ancestor.expert):
                answers = grid.network(path, facts.task).cpu().eval()(again)
            else:
                answers = Expert.load(ancestor.run.expert_file).network(again)
            same = torch.equal(answers, ancestor.expert.outputs(maps)) and all(
                same_weights(there, own) for there, own in _shared(grid, ancestor.expert)
            )
            rows.append(
                {
                    "task": facts.task,
                    "run": ancestor.run.name,
                    "file_sha256_before": ancestor.sha256,
                    "file_sha256_after": now,
                    "logits_identical": same,
                }
            )
            if now != ancestor.sha256 or not same:
                raise PathsearchError(
                    f"expert of {facts.task} ({ancestor.run.name}) has changed: {rows[-1]}; report this"
                )
        return rows


def _partners(run: Run) -> list[str]:
    """Names of the runs that were trained together with one that is finished, itself among them."""
    return list(run.settings().partners.values()) if run.finished else []


def settle(grid: Grid, experts: Sequence[Expert]) -> None:
    """Put experts' weights into their places on a grid and fix them there.

    A module shared by two experts has the same weights in both, since the later one could not change it. Of one that
    ends in other layers, only what it has in common with the grid is put there, and not its head.

    Raises:
        PathsearchError: two of them have other weights in a module that both use.
    """
    placed: dict[nn.Module, Expert] = {}
    for expert in experts:
        for there, own in _shared(grid, expert):
            if (first := placed.setdefault(there, expert)) is not expert and not same_weights(there, own):
                raise PathsearchError(
                    f"--grid: expected experts of one grid, got those of {first.facts.task} and {expert.facts.task} "
                    "with other weights in a module that both use: one of their runs was made again since; make the "
                    "other one again, too"
                )
            there.load_state_dict(own.state_dict())
            there.requires_grad_(False)
        if _stands(grid, expert):
            grid.add_head(expert.facts.task, *expert.target.head(grid.head_shape))
            grid.heads[expert.facts.task].load_state_dict(_network(expert).head.state_dict())
            grid.heads[expert.facts.task].requires_grad_(False)
    grid.to(device_of(grid))


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    """Whether two modules of one kind have the same weights to the bit, wherever they are."""
    theirs = other.state_dict()
    return all(torch.equal(tensor.cpu(), theirs[name].cpu()) for name, tensor in one.state_dict().items())


def inherit(grid: Grid, path: Path, experts: Sequence[Expert]) -> None:
    """Let modules of a path that are free begin as the youngest of the grid's experts left its own in their layer.

    Where it has modules of other kinds there, or none, they begin as they are; and so do those that an expert has left,
    which may be free where tasks are trained together.
    """
    left = [layers_on(grid, one) for one in experts]
    for number, layer in enumerate(grid.blueprint.layers):
        own = [one for one in reversed(experts) if layers_on(grid, one)[number]]
        if not own or path.is_probe:
            continue
        active = layers_on(grid, own[0])[number]
        modules = _network(own[0]).modules_called(layer.name)
        for index, other, module in zip(path.layers[number], active, modules, strict=False):
            there = grid.module(number, index)
            if any(index in layers[number] for layers in left):
                continue
            if layer.modules[index] == layer.modules[other] and all(one.requires_grad for one in there.parameters()):
                there.load_state_dict(module.state_dict())


def layers_on(grid: Grid, expert: Expert) -> Layers:
    """Active modules of an expert in each layer of `grid`, whose layers are known by their names; none in some."""
    return layers_between(_blueprint(expert), Path.parse(expert.facts.path), grid.blueprint)


def layers_between(own: Blueprint | None, path: Path, other: Blueprint) -> Layers:
    """Active modules of a path on its `own` blueprint, in each layer of another one; none in some."""
    active = dict(zip([layer.name for layer in own.layers], path.layers, strict=True)) if own else {}
    return tuple(active.get(layer.name, ()) for layer in other.layers)


def _shared(grid: Grid, expert: Expert) -> Iterator[tuple[nn.Module, nn.Module]]:
    """An expert's modules in the layers that it has in common with `grid`: those there, and its own."""
    own = _blueprint(expert)
    names = [layer.name for layer in own.layers] if own else []
    for number, (layer, active) in enumerate(zip(grid.blueprint.layers, layers_on(grid, expert), strict=True)):
        if active:
            modules = _network(expert).modules_of(names.index(layer.name))
            yield from ((grid.module(number, i), module) for i, module in zip(active, modules, strict=True))


def _stands(grid: Grid, expert: Expert) -> bool:
    """Whether all of an expert is on `grid`: the same layers, to the same end; a probe stands on none."""
    own = _blueprint(expert)
    return own is not None and [layer.name for layer in own.layers] == [layer.name for layer in grid.blueprint.layers]


def _blueprint(expert: Expert) -> Blueprint | None:
    return _network(expert).blueprint


def _network(expert: Expert) -> PathNetwork:
    return cast("PathNetwork", expert.network.network)
