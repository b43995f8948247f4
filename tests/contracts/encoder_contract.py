"""What every encoder must do: call `check_encoder` with `maker(…)` of settings that name yours."""

from __future__ import annotations

import json
import pickle
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import prod
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.frozen import digest
from pathsearch.encoders.pixels import make_encoder
from pathsearch.run.settings import EncoderSettings

Make = Callable[..., Encoder]  # `make(image_size=64)`: the same encoder but for that

B = 5  # images


def check_encoder(make: Make) -> None:
    """All promises; raises what the first broken one says."""
    for promise in PROMISES:
        promise(make)


def maker(settings: EncoderSettings, make: Callable[[EncoderSettings], Encoder] = make_encoder) -> Make:
    """Of the encoder that settings name."""
    return lambda **changes: make(replace(settings, **changes))


def images(encoder: Encoder, n: int = B) -> Tensor:
    side = encoder.settings.image_size
    return torch.randint(256, (n, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def near(encoder: Encoder, found: Tensor, expected: Tensor) -> None:
    """Equal to the rounding of float16, or to that of bfloat16 within; pixels to the bit."""
    loose = 0.05 if encoder.settings.precision == "bfloat16" else 2e-3
    tolerance = loose if found.is_floating_point() else 0.0
    scale = float(expected.float().abs().max())
    torch.testing.assert_close(found.float(), expected.float(), rtol=tolerance, atol=tolerance * scale)


def puts_out_what_it_announces(make: Make) -> None:
    encoder = make()
    found = encoder(images(encoder))
    assert tuple(found.shape) == (B, *encoder.feature_shape)
    assert found.numpy().dtype == encoder.dtype, "what the cache is made for"
    assert found.is_contiguous()
    assert not found.requires_grad
    assert sum(map(prod, encoder.places.values())) == prod(encoder.feature_shape)
    assert sum(encoder.parts) == encoder.feature_shape[0]
    near(encoder, encoder.averaged(encoder.maps(images(encoder))), found)


def answers_each_image_by_itself(make: Make) -> None:
    encoder = make()
    x = images(encoder)
    whole = encoder(x)
    near(encoder, torch.cat([encoder(one[None]) for one in x]), whole)
    near(encoder, encoder(x.flip(0)), whole.flip(0))


def shows_the_router_few_numbers_of_each_image(make: Make) -> None:
    encoder = make()
    features = encoder(images(encoder))
    seen = encoder.seen(features)
    assert seen.shape == (B, encoder.sight)
    assert seen.dtype == torch.float32
    assert torch.isfinite(seen).all()
    assert encoder.sight <= prod(encoder.feature_shape) or not encoder.has_trunk
    torch.testing.assert_close(torch.cat([encoder.seen(one[None]) for one in features]), seen)
    again = pickle.loads(pickle.dumps(encoder.sees))  # noqa: S301 (our own: other processes get it by name)
    assert torch.equal(again(features, encoder.places), seen)


def answers_the_same_again_and_made_anew(make: Make) -> None:
    one, other = make(), make()
    first = one(images(one))
    assert torch.equal(one(images(one)), first)
    assert torch.equal(other(images(one)), first)
    assert other.key == one.key
    assert other.weights_sha256 == one.weights_sha256


def tells_images_apart(make: Make) -> None:
    encoder = make()
    found = encoder(images(encoder)).flatten(1)
    assert len(found.unique(dim=0)) == B


def is_finite_on_plain_images(make: Make) -> None:
    encoder = make()
    side = encoder.settings.image_size
    plain = torch.stack([torch.full((3, side, side), grey, dtype=torch.uint8) for grey in (0, 1, 128, 255)])
    assert torch.isfinite(encoder(plain).float()).all()


def is_frozen(make: Make) -> None:
    encoder = make()
    if not encoder.has_trunk:
        return  # there is nothing to freeze
    nn.Sequential(encoder.trunk).train()  # as a parent would that trains
    encoder(images(encoder))
    encoder.trunk(encoder.normalised(images(encoder).float()))
    assert digest(encoder.trunk) == encoder.weights_sha256, "of parameters and buffers"
    assert [name for name, own in encoder.trunk.named_parameters() if own.requires_grad] == []
    assert not any(part.training for part in encoder.trunk.modules())


def leaves_its_input_and_all_generators_alone(make: Make) -> None:
    python, numbers = random.getstate(), torch.get_rng_state()
    encoder = make()
    x = images(encoder)
    encoder(x)
    assert torch.equal(x, images(encoder))
    assert random.getstate() == python
    assert torch.equal(torch.get_rng_state(), numbers)


def lets_gradients_through_its_averaging(make: Make) -> None:
    """What explains an answer asks for the gradient of the maps."""
    encoder = make()
    maps = [one.clone().requires_grad_() for one in encoder.maps(images(encoder))]
    encoder.averaged(maps).sum().backward()
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in maps)


def has_a_key_of_all_that_decides_its_features(make: Make) -> None:
    encoder = make()
    others = [make(image_size=encoder.settings.image_size + 16)]
    if encoder.settings.weights == "random" and encoder.has_trunk:
        others.append(make(random_seed=encoder.settings.random_seed + 1))
        assert not torch.equal(others[-1](images(encoder)), encoder(images(encoder)))
        assert others[-1].weights_sha256 != encoder.weights_sha256
    assert len({one.key for one in (encoder, *others)}) == 1 + len(others)
    assert json.loads(json.dumps(encoder.identity, allow_nan=False)) == encoder.identity
    deciding = ("name", "weights_sha256", "image_size", "map_size", "preprocessing", "feature_shape")
    assert set(deciding) <= encoder.identity.keys()
    assert encoder.identity["feature_shape"] == list(encoder.feature_shape)


def says_what_its_weights_are(make: Make) -> None:
    encoder = make()
    if not encoder.has_trunk:
        assert encoder.weights_label == "no weights"
        return
    drawn = encoder.settings.weights == "random"
    assert ("random" in encoder.weights_label) == drawn, "what is random is called so, and nothing else"
    if drawn:
        assert f"seed {encoder.settings.random_seed}" in encoder.weights_label
    assert encoder.identity["weights"] == encoder.weights_label


def is_the_same_from_its_own_file(make: Make) -> None:
    encoder = make()
    if not encoder.has_trunk:
        assert encoder.state() == {}
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.safetensors"
        save_file(encoder.state(), file)
        again = make(weights=str(file))
    assert torch.equal(again(images(encoder)), encoder(images(encoder)))
    assert again.key == encoder.key


PROMISES: tuple[Callable[[Make], None], ...] = (
    puts_out_what_it_announces,
    answers_each_image_by_itself,
    shows_the_router_few_numbers_of_each_image,
    answers_the_same_again_and_made_anew,
    tells_images_apart,
    is_finite_on_plain_images,
    is_frozen,
    leaves_its_input_and_all_generators_alone,
    lets_gradients_through_its_averaging,
    has_a_key_of_all_that_decides_its_features,
    says_what_its_weights_are,
    is_the_same_from_its_own_file,
)


def broken(make: Make) -> Iterator[str]:
    """The promises that an encoder breaks, by name."""
    for promise in PROMISES:
        try:
            promise(make)
        except (Exception, pytest.fail.Exception):
            yield promise.__name__
