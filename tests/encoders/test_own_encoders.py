"""Encoders of a user's own: a trunk or a way to read pixels, by name, under the digest of their plug-in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from command_world import pathsearch
from safetensors.torch import save_file
from small_world import SIZE, data_dir, noise, options, refused, settings, task
from torch import nn

from pathsearch.encoders.encoder import ENCODERS, Encoder, register
from pathsearch.encoders.features import encode
from pathsearch.encoders.pixels import Pixels, make_encoder
from pathsearch.grid import plugins
from pathsearch.run.settings import EncoderSettings

TINY = """
from torch import nn
from pathsearch import encoder

@encoder.register("tiny")
class Tiny(encoder.Encoder):
    def network(self):
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU())
        )
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> Iterator[Path]:
    """The file of a plug-in; what it registers is forgotten after the test."""
    known = dict(ENCODERS)
    for name in ("_loaded", "_origins", "_named"):
        monkeypatch.setattr(plugins, name, dict(getattr(plugins, name)))
    (tmp_path / "tiny.py").write_text(TINY)
    yield tmp_path / "tiny.py"
    ENCODERS.clear()
    ENCODERS.update(known)


def made(weights: str = "random", **options: int | str) -> Encoder:
    return make_encoder(EncoderSettings("tiny", weights, SIZE, **options))


def test_a_trunk_of_ones_own_has_all_that_a_trunk_has(tiny, tmp_path):
    plugins.load_plugins([tiny])
    one = made()
    assert one.feature_shape == (16, 4, 4), "12 positions a side, averaged"
    assert one.weights_label == "random (He, seed 0)"
    assert made(taps=2).taps == (16, 8)
    assert made(taps=2, sizes="own").places == {"stage1": (16, 12, 12), "stage2": (8, 24, 24)}
    save_file(one.state(), tmp_path / "w.safetensors")
    again = made(str(tmp_path / "w.safetensors"))
    assert again.key == one.key
    assert torch.equal(again(noise(2, SIZE)), one(noise(2, SIZE)))
    assert made(random_seed=1).key != one.key


def test_other_code_of_the_same_name_has_other_features_in_the_cache(tiny, tmp_path):
    """The weights of both are alike to the byte; only the plug-in's digest tells them apart."""
    plugins.load_plugins([tiny])
    first = made()
    assert encode(task("blobs"), first, tmp_path / "cache").encoded == len(task("blobs").table)
    assert plugins.plugins_of((), encoder="tiny") == [first.identity["plugin"]]
    del ENCODERS["tiny"]
    other = tiny.with_name("other.py")
    other.write_text(TINY.replace("nn.ReLU()", "nn.Tanh()"))
    plugins.load_plugins([other])
    second = made()
    assert second.weights_sha256 == first.weights_sha256
    assert second.key != first.key
    assert encode(task("blobs"), second, tmp_path / "cache").encoded > 0
    assert "plugin" not in make_encoder(EncoderSettings("squeezenet1_1", "random", SIZE)).identity


def test_a_class_that_the_plugin_did_not_define_is_refused(tiny):
    """The note of the plug-in would stand on the package's own class, and in the keys of all its features."""
    before = make_encoder(EncoderSettings("pixels", image_size=SIZE)).key
    raw = tiny.with_name("raw.py")
    raw.write_text(
        "from pathsearch import encoder\nfrom pathsearch.encoders.pixels import Pixels\nencoder.register('raw')(Pixels)"
    )
    with refused("raw.py: encoder 'raw': expected a class of its own, got Pixels of pathsearch.encoders.pixels; regis"):
        plugins.load_plugins([raw])
    assert "raw" not in ENCODERS
    assert make_encoder(EncoderSettings("pixels", image_size=SIZE)).key == before
    plugins.load_plugins([tiny])
    again = tiny.with_name("again.py")
    again.write_text(
        "from pathsearch.encoders.encoder import ENCODERS, register\nregister('again')(ENCODERS['tiny'])\n"
    )
    with refused("again.py: encoder 'again': expected a class of its own, got Tiny of pathsearch_plugin_tiny"):
        plugins.load_plugins([again])


def test_an_encoder_names_the_plugins_of_its_bases_too(tiny):
    heir = tiny.with_name("heir.py")
    heir.write_text(
        "from pathsearch.encoders.encoder import ENCODERS, register\n"
        "@register('heir')\nclass Heir(ENCODERS['tiny']):\n    pass\n"
    )
    (base,), (own,) = plugins.load_plugins([tiny]), plugins.load_plugins([heir])
    assert make_encoder(EncoderSettings("heir", "random", SIZE)).identity["plugin"] == f"{own}+{base}"
    assert plugins.plugins_of((), encoder="heir") == [own, base]
    assert made().identity["plugin"] == base


def test_what_cannot_be_is_one_line(tiny):
    with refused("got 'tiny'; see torchvision.models for the names, or give pixels; one of your own needs --plugin"):
        made()
    with refused(r"got 'resnet'; did you mean '\w+'\? One of your own needs --plugin FILE$"):
        make_encoder(EncoderSettings("resnet", "random", SIZE))
    plugins.load_plugins([tiny])
    with refused(r"got 'tinny'; did you mean 'tiny'\?$"):
        make_encoder(EncoderSettings("tinny", "random", SIZE))
    with refused("encoder.weights: expected random or a file with encoder.name=tiny, .* give --encoder-weights random"):
        made("imagenet")
    ENCODERS["flat"] = type("Flat", (Encoder,), {"network": lambda self: torch.nn.Linear(3, 3)})
    with refused("encoder 'flat': RuntimeError: .*; mend its class"):
        make_encoder(EncoderSettings("flat", "random", SIZE))
    ENCODERS["bare"] = type("Bare", (Encoder,), {})
    with refused("encoder 'bare': NotImplementedError: Bare: expected a method `network` that returns the trunk"):
        make_encoder(EncoderSettings("bare", "random", SIZE))


class Masked(nn.Conv2d):
    """A convolution with a tensor more, which a file holds."""

    def __init__(self) -> None:
        super().__init__(3, 8, 3, 2)
        self.register_buffer("mask", torch.ones(8, 3, 3, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv2d(x, self.weight * self.mask, self.bias, 2)


class Blurred(nn.Conv2d):
    """A convolution with a tensor more, which no file holds."""

    def __init__(self) -> None:
        super().__init__(3, 8, 3, 2)
        self.register_buffer("blur", torch.ones(3), persistent=False)


class Shifted(nn.ReLU):
    """A constant that is neither parameter nor buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = torch.ones(1)


def registered(monkeypatch, *parts: Callable[[], nn.Module]) -> None:
    trunk = {"network": lambda self: nn.Sequential(*(part() for part in parts))}
    monkeypatch.setitem(ENCODERS, "tiny", type("Tiny", (Encoder,), trunk))


@pytest.mark.parametrize(("part", "name"), [(Blurred, "0.blur"), (Shifted, "0.shift")])
def test_a_tensor_that_no_weights_fill_is_refused_by_name(monkeypatch, tmp_path, part, name):
    """It was uninitialised memory, told as weights of another architecture, and two encoders could share a key."""
    registered(monkeypatch, part)
    save_file({f"0.{key}": torch.ones(1) for key in ("weight", "bias")}, tmp_path / "w.safetensors")
    for weights in ("random", str(tmp_path / "w.safetensors")):
        with refused(f"^encoder 'tiny': expected parameters and persistent buffers, .* got the tensor {name}; make it"):
            made(weights)


def test_random_weights_fill_what_they_know_and_refuse_the_rest_by_name(monkeypatch, tmp_path):
    registered(monkeypatch, Masked)
    with refused("^encoder weights random: .* known initialisation, got Masked with mask; use a file$"):
        made()
    with torch.random.fork_rng():
        whole = {f"0.{name}": tensor for name, tensor in Masked().state_dict().items()}
    save_file(whole, tmp_path / "w.safetensors")
    kept = made(str(tmp_path / "w.safetensors"))
    assert torch.equal(kept.state()["features.0.mask"], torch.ones(8, 3, 3, 3))
    registered(monkeypatch, lambda: nn.PReLU(3))
    with refused("^encoder weights random: .* known initialisation, got PReLU; use a file$"):
        made()
    registered(monkeypatch, lambda: nn.Conv2d(3, 8, 3, 2), lambda: nn.GroupNorm(2, 8))
    norm = {name: tensor for name, tensor in made().state().items() if ".1." in name}
    assert torch.equal(norm["features.1.weight"], torch.ones(8))
    assert torch.equal(norm["features.1.bias"], torch.zeros(8))


@pytest.mark.parametrize("name", ["pixels", "vgg16"])
def test_a_name_that_is_taken_is_refused(name):
    with pytest.raises(ValueError, match=f"^encoder '{name}' is registered twice, or torchvision's; rename yours$"):
        register(name)(Pixels)


def test_pixels_may_be_read_otherwise(tmp_path, monkeypatch):
    class Grey(Pixels):
        preprocessing = "grey of 0 to 255"

        def read(self, images: torch.Tensor) -> torch.Tensor:
            return images.float().mean(1, keepdim=True).round().byte()

    monkeypatch.setitem(ENCODERS, "grey", Grey)
    one = make_encoder(EncoderSettings("grey", image_size=SIZE))
    assert one.places == {"pixels": (1, SIZE, SIZE)}
    assert one.identity["preprocessing"] == "grey of 0 to 255"
    assert not one.has_trunk
    split = encode(task("blobs"), one, tmp_path / "cache").train()
    assert split.raw(torch.arange(2)).shape == (2, 1, SIZE, SIZE)
    assert split.standardise.mean.shape == (1, 1, 1)
    with refused("encoder.taps: expected 1 with encoder.name=grey, which has no maps, got 2; leave it out"):
        make_encoder(EncoderSettings("grey", taps=2))


READINGS = {  # what a `read` gives of images, and what it should have given and gave
    "unit": (lambda images: images.float() / 255, "uint8 (1, C, H, W), got float32 (1, 3, 48, 48)"),
    "signed": (lambda images: images.short() - 128, "uint8 (1, C, H, W), got int16 (1, 3, 48, 48)"),
    "row": (lambda images: images[:, 0, 0], "uint8 (1, C, H, W), got uint8 (1, 48)"),
    "array": (lambda images: images.numpy(), "uint8 (1, C, H, W), got ndarray"),
    "two": (lambda images: images.repeat(2, 1, 1, 1), "uint8 (1, C, H, W), got uint8 (2, 3, 48, 48)"),
}


@pytest.mark.parametrize("name", READINGS)
def test_what_is_read_must_be_bytes_of_each_image(monkeypatch, name):
    """Any other type was cast in silence: of images / 255 nothing but zeros was left."""
    read, why = READINGS[name]
    monkeypatch.setitem(ENCODERS, name, type("Own", (Pixels,), {"read": lambda self, images: read(images)}))
    with refused(re.escape(f"encoder '{name}': expected read to return {why}; mend its class")):
        make_encoder(EncoderSettings(name, image_size=SIZE))


def test_of_a_batch_too(monkeypatch):
    class First(Pixels):
        def read(self, images: torch.Tensor) -> torch.Tensor:
            return images[:1]

    monkeypatch.setitem(ENCODERS, "first", First)
    one = make_encoder(EncoderSettings("first", image_size=SIZE))
    said = "encoder 'first': expected read to return uint8 (2, 3, 48, 48), got uint8 (1, 3, 48, 48)"
    for ask in (one, one.maps):
        with refused(re.escape(said)):
            ask(noise(2, SIZE))


def test_what_fails_in_a_batch_is_told_as_the_encoders_own(tmp_path, monkeypatch):
    class Alone(Pixels):
        def read(self, images: torch.Tensor) -> torch.Tensor:
            return images.view(1, 3, SIZE, SIZE)

    monkeypatch.setitem(ENCODERS, "alone", Alone)
    one = make_encoder(EncoderSettings("alone", image_size=SIZE))
    with refused("^encoder 'alone': RuntimeError: shape .*; mend its class$"):
        encode(task("blobs"), one, tmp_path / "cache")


def test_from_a_file_to_a_prediction(tmp_path):
    plugin, where = tmp_path / "tiny.py", ["--data-dir", data_dir(), "--runs-dir", tmp_path / "runs"]
    plugin.write_text(TINY)
    of = settings("blobs", generations=2, epochs=2)
    small = [*options(replace(of, encoder=EncoderSettings())), "--run-name", "toy", "--image-size", str(SIZE)]
    small += ["--encoder", "tiny", "--encoder-weights", "random"]
    bare = pathsearch("evolve", *small, *where)
    assert bare.code == 2
    assert "one of your own needs --plugin FILE" in bare.err
    made = pathsearch("evolve", *small, *where, "--plugin", plugin)
    assert made.code == 0, made
    assert pathsearch("joint-eval", "toy", *where, "--plugin", plugin).code == 0
    for inside in ([], ["--with-encoder"]):
        model = tmp_path / f"model{len(inside)}"
        packed = pathsearch("bundle", "toy", *where, "--out", model, "--plugin", plugin, *inside)
        assert packed.code == 0, packed
        bare = pathsearch("predict", model, task("blobs").files()[0])
        assert "expected the plug-in tiny.py" in bare.err
        said = pathsearch("predict", model, task("blobs").files()[0], "--plugin", plugin)
        assert said.code == 0, said
