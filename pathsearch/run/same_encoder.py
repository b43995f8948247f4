"""Do several experts stand on one encoder? If not, what differs, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from typing_extensions import NotRequired  # in `typing` from Python 3.11 on

LABELS = ("weights", "key")  # a description that may name a file, and a digest of all the others
SHAPE = "feature_shape"  # follows from the others
SHOWN = ("name", "image_size")  # beside the weights, whenever an encoder is put in words
UNNAMED = {
    "precision": "float32",
    "stages": "all",
    "taps": "the last",
    "sizes": "one",
}  # what an identity does not mention


class Identity(TypedDict):
    """What decides the features of an image, as reports and experts have it; key: a digest of all of it."""

    name: str
    weights: str
    weights_sha256: str
    image_size: int
    map_size: int
    preprocessing: str
    feature_shape: list[int]
    key: str
    precision: NotRequired[str]  # where it is not as usual
    stages: NotRequired[int]
    taps: NotRequired[list[int]]
    sizes: NotRequired[str]


def differences(identities: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the fields in which encoders' identities differ, apart from their labels; a mere consequence last."""
    names = sorted({name for one in identities for name in one} - {*LABELS}, key=lambda name: (name == SHAPE, name))
    return [name for name in names if any(value(one, name) != value(identities[0], name) for one in identities)]


def value(identity: Mapping[str, Any], name: str) -> Any:
    """A field of an identity, which leaves out what is as usual."""
    return identity.get(name, UNNAMED.get(name))


def described(identities: Mapping[str, Mapping[str, Any]]) -> str:
    """Each encoder by the name of its run, with everything in which they differ."""
    differ = [name for name in differences(list(identities.values())) if name not in SHOWN]
    return "; ".join(
        f"{run}: {in_words(one)}" + "".join(f", {name} {value(one, name)}" for name in differ)
        for run, one in identities.items()
    )


def beside(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """An encoder in words, with what it has otherwise than another where these words do not tell."""
    alike = in_words(one) == in_words(other)
    follows = {SHAPE} if alike else {SHAPE, "weights_sha256"}
    differ = [name for name in differences([one, other]) if name not in SHOWN]
    told = [name for name in differ if name not in follows]
    told = differ if alike and not told else told
    return in_words(one) + "".join(f", {name} {value(one, name)}, not {value(other, name)}" for name in told)


def in_words(one: Mapping[str, Any]) -> str:
    """Trunk, weights and image size."""
    return f"{one['name']}, {one['weights']}, {one['image_size']} px"
