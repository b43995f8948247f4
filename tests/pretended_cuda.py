"""A CUDA device that is none: tensors that compute on the CPU and refuse what CUDA would refuse.

Every operation is first asked of torch's own fake tensors on `cuda`, which know no numbers but all rules of devices;
then it is done with the numbers on the CPU. So the whole program runs as on a GPU, and a tensor left behind is found.
To the program the device is called `meta`: without a driver torch's autograd starts no thread for `cuda`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

CALLED, CUDA, CPU = torch.device("meta"), torch.device("cuda:0"), torch.device("cpu")
_fakes = FakeTensorMode()
_known: dict[Any, list[str | None] | None] = {}  # what was asked before: the rules do not change


class Pretended(torch.Tensor):
    """A tensor on the pretended device; `inner` has its numbers."""

    inner: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Pretended:
        made = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            device=CALLED,
        )  # fmt: skip
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        return _compute(function, arguments, options or {})

    def __repr__(self, **_: Any) -> str:
        return f"Pretended({self.inner!r})"

    def tolist(self) -> Any:
        return self.inner.tolist()

    def __deepcopy__(self, memory: dict[int, Any]) -> torch.Tensor:
        if id(self) not in memory:
            copied = self.detach().clone()
            if isinstance(self, torch.nn.Parameter):
                copied = torch.nn.Parameter(copied, self.requires_grad)
            memory[id(self)] = copied
        return memory[id(self)]


class _Pretending(TorchDispatchMode):
    """Catches what makes a tensor on the device out of none."""

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        return _compute(function, arguments, options or {})


@contextmanager
def pretended_cuda() -> Iterator[torch.device]:
    """Within the block there is such a device."""
    make = torch.tensor

    def tensor(data: Any, *, device: Any = None, **options: Any) -> torch.Tensor:
        made = make(data, **options)
        return made if device is None else made.to(device)

    casting = torch.autocast

    def autocast(kind: str, *arguments: Any, **options: Any) -> Any:
        return casting("cpu" if kind == CALLED.type else kind, *arguments, **options)

    torch.__future__.set_swap_module_params_on_conversion(True)  # `Module.to` would keep the shells of the old ones
    try:
        with (
            mock.patch("torch.autocast", autocast),
            mock.patch("torch.tensor", tensor),  # on `meta` it would make one without numbers, unasked
            mock.patch("torch.optim.optimizer._get_fused_kernels_supported_devices", return_value=["meta", "cpu"]),
            warnings.catch_warnings(),
            _Pretending(),
        ):
            warnings.filterwarnings("ignore", ".*copying from a non-meta parameter.*")  # it is a copy here
            yield CALLED
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)


def _compute(function: Any, arguments: Any, options: dict[str, Any]) -> Any:
    given, _ = tree_flatten((arguments, options))
    if not any(isinstance(one, Pretended) or _is_called(one) for one in given):
        return function(*arguments, **options)
    # 1. what CUDA would say of the devices, and where the results would be
    asked = (function, len(arguments), *options, *map(_kind, given))
    if asked not in _known:
        _known[asked] = _places(function, arguments, options)
    places = _known[asked]
    # 2. the numbers
    inner = {id(one.inner): one for one in given if isinstance(one, Pretended)}
    found = function(*tree_map(_inner, arguments), **tree_map(_inner, options))
    # 3. results where they belong; what was changed in place is what was given
    results, form = tree_flatten(found)
    places = places or ["cuda" if isinstance(one, torch.Tensor) else None for one in results]
    wrapped = [
        one if place != "cuda" else inner[id(one)] if id(one) in inner else Pretended(one)
        for one, place in zip(results, places, strict=True)
    ]
    return tree_unflatten(wrapped, form)


def _places(function: Any, arguments: Any, options: dict[str, Any]) -> list[str | None] | None:
    """The kind of device of each result; None if only the numbers tell what comes out, where the arguments are."""
    try:
        with _fakes:
            said = function(*tree_map(_fake, arguments), **tree_map(_fake, options))
    except (DataDependentOutputException, DynamicOutputShapeException):
        return None
    return [one.device.type if isinstance(one, torch.Tensor) else None for one in tree_flatten(said)[0]]


def _kind(one: Any) -> Any:
    """All of an argument that the rules of devices may depend on; hashable."""
    return (one.shape, one.stride(), one.dtype, type(one)) if isinstance(one, torch.Tensor) else (type(one), one)


def _is_called(one: Any) -> bool:
    return isinstance(one, torch.device) and one == CALLED


def _fake(one: Any) -> Any:
    if isinstance(one, torch.Tensor):
        device = CUDA if isinstance(one, Pretended) else one.device
        return torch.empty_strided(one.size(), one.stride(), dtype=one.dtype, device=device)
    return CUDA if _is_called(one) else one


def _inner(one: Any) -> Any:
    if isinstance(one, Pretended):
        return one.inner
    assert not (isinstance(one, torch.Tensor) and one.is_meta), "a tensor was made behind the back of the pretence"
    return CPU if _is_called(one) else one
