"""Named tensors in one safetensors file: written whole or not at all, read with one line for whatever is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from data_prep.errors import PathsearchError
from data_prep.whole_files import appears_whole


def save_tensors(file: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write `tensors`, from any device, to `file`, whole or not at all.

    Args:
        file: its folder is made.
        tensors: by name.
        metadata: texts in the header. Give one key if equal contents must be equal bytes: the library keeps several in
            no fixed order.

    Raises:
        CannotWrite: the system refused, such as on a full disk.
    """
    flat: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        one = tensor.detach().cpu().contiguous()
        # the format has no two names for one tensor, such as of a module that two networks have in common
        flat[name] = one.clone() if one.data_ptr() in seen else one
        seen.add(one.data_ptr())
    # not save_file, which puts another file in the place of the temporary one: readable by the owner alone, unlocked
    content = save(flat, metadata)
    with appears_whole(file) as part:
        part.write_bytes(content)


def load_tensors(file: Path, what: str, advice: str = "make it again") -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file and the texts in its header.

    Args:
        file: to read.
        what: the word for it in messages, such as "expert".
        advice: the next step in messages.

    Raises:
        PathsearchError: the file is missing or damaged.
    """
    try:
        with safe_open(file, "pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a dict)
            return tensors, dict(opened.metadata() or {})
    except FileNotFoundError:
        raise PathsearchError(f"{what} {file}: no such file; {advice}") from None
    # a damaged header can make the library name a type that torch has not, or texts that are no UTF-8
    except (SafetensorError, OSError, ValueError, KeyError, AttributeError, TypeError, RuntimeError) as error:
        raise PathsearchError(f"{what} {file}: cannot be read ({_one_line(error)}); {advice}") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
