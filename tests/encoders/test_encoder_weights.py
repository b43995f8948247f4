"""Weights of a trunk: from files, from the download, refused in one line where they do not fit."""

from __future__ import annotations

import io
import pickle
import urllib.error
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from small_world import from_file, full_model, noise, refused
from torchvision import models

from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.frozen import digest, frozen
from pathsearch.run.settings import EncoderSettings

# --- weights from files ---------------------------------------------------------------------------------------------


def test_trunk_file_full_file_and_pth_are_one_encoder(tmp_path):
    model = full_model()
    save_file(model.features.state_dict(), tmp_path / "trunk.safetensors")  # keys as of torchvision's .features
    save_file(model.state_dict(), tmp_path / "full.safetensors")
    torch.save(model.state_dict(), tmp_path / "full.pth")
    torch.save(model.features.state_dict(), tmp_path / "trunk.pth")
    encoders = [from_file(file) for file in sorted(tmp_path.iterdir())]
    assert {encoder.weights_sha256 for encoder in encoders} == {digest(frozen(model.features))}
    assert len({encoder.key for encoder in encoders}) == 1
    assert all(encoder.weights_label.startswith("file ") for encoder in encoders)


def test_counters_missing_from_old_files_are_filled_in(tmp_path):
    state = full_model("resnet18").state_dict()
    save_file(state, tmp_path / "new.safetensors")
    save_file({k: v for k, v in state.items() if "num_batches" not in k}, tmp_path / "old.safetensors")
    new, old = (from_file(tmp_path / f"{age}.safetensors", "resnet18") for age in ("new", "old"))
    assert torch.equal(new(noise()), old(noise()))


class Trap:
    """A pickle that would run code."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path):
    sprung = tmp_path / "sprung"
    weights = tmp_path / "w.pth"
    torch.save({"features.0.weight": Trap(sprung)}, weights)
    with refused("not a plain state dict: .*save model.state_dict.. as safetensors") as caught:
        from_file(weights)
    assert "weights_only" not in str(caught.value), "torch advises to switch the protection off"
    assert not sprung.exists()
    torch.load(weights, weights_only=False)  # the trap is a real one
    assert sprung.exists()


def contents() -> dict[str, bytes]:
    buffer = io.BytesIO()
    torch.save([torch.zeros(2)], buffer)
    return {
        "empty": b"",
        "text": b"not weights",
        "half a zip": buffer.getvalue()[: len(buffer.getvalue()) // 2],
        "a list": buffer.getvalue(),
        "a plain pickle": pickle.dumps({"a": 1}),
    }


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", contents())
def test_broken_files_get_one_line(tmp_path, content, suffix):
    file = tmp_path / f"w{suffix}"
    file.write_bytes(contents()[content])
    with refused(f"encoder weights .*w{suffix}: (not a|expected a table of tensors)"):
        from_file(file)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for where in (tmp_path / "none.safetensors", tmp_path):
        with refused("expected imagenet, random or a file, got .*which is none"):
            from_file(where)


@pytest.mark.parametrize(
    ("given_to", "made_by"),
    [
        ("squeezenet1_1", "resnet18"),
        ("resnet18", "resnet34"),  # resnet34 holds every name of resnet18, in its shapes
        ("resnet18", "squeezenet1_1"),
        ("squeezenet1_1", "squeezenet1_0"),  # all names, other shapes
        ("efficientnet_b0", "efficientnet_b1"),
    ],
)
def test_weights_of_another_architecture_are_refused(tmp_path, given_to, made_by):
    with torch.device("meta"):
        shapes = models.get_model(made_by, weights=None).state_dict()
    save_file({name: torch.zeros(t.shape, dtype=t.dtype) for name, t in shapes.items()}, tmp_path / "w.safetensors")
    with refused("is it the file of another architecture"):
        from_file(tmp_path / "w.safetensors", given_to)


# --- ImageNet weights -----------------------------------------------------------------------------------------------


def imagenet(name: str) -> Encoder:
    return Encoder(EncoderSettings(name, "imagenet", image_size=64))


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty download folder, and no network."""

    def offline(*arguments: object, **options: object):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", offline)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


def test_without_a_network_imagenet_weights_get_numbered_steps(hub):
    with refused("could not download .*no route to host.*1. fetch it in a browser, 2. put it into .*3. use"):
        imagenet("squeezenet1_1")


def test_a_broken_download_gets_the_same_steps(hub):
    url = models.SqueezeNet1_1_Weights.IMAGENET1K_V1.url
    for content in (b"", b"<html>not found</html>", b"PK\x03\x04"):
        (hub / url.rsplit("/", 1)[-1]).write_bytes(content)
        with refused("could not download or read .*1. fetch it in a browser") as caught:
            imagenet("squeezenet1_1")
        assert "weights_only" not in str(caught.value)


def test_imagenet_weights_load_from_the_download_folder(hub):
    model = full_model()
    torch.save(model.state_dict(), hub / models.SqueezeNet1_1_Weights.IMAGENET1K_V1.url.rsplit("/", 1)[-1])
    encoder = imagenet("squeezenet1_1")
    assert encoder.weights_label == "ImageNet (torchvision IMAGENET1K_V1)"
    assert encoder.weights_sha256 == digest(frozen(model.features))


def test_densenets_old_names_are_understood(hub):
    model = full_model("densenet121")
    # torchvision's own file says denselayer1.norm.1.weight where its code says denselayer1.norm1.weight
    old = {
        name.replace("norm1", "norm.1").replace("norm2", "norm.2").replace("conv1", "conv.1").replace("conv2", "conv.2")
        if "denselayer" in name
        else name: tensor
        for name, tensor in model.state_dict().items()
        if "num_batches" not in name
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, hub / models.DenseNet121_Weights.IMAGENET1K_V1.url.rsplit("/", 1)[-1])
    encoder = imagenet("densenet121")
    assert torch.equal(encoder.trunk.network[0].norm5.weight, model.features.norm5.weight)
    name = "denseblock2.denselayer3.conv2.weight"
    assert torch.equal(encoder.trunk.network[0].state_dict()[name], model.features.state_dict()[name])
