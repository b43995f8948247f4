"""The frozen trunk: nothing changes it, everything identifies it, and bad weights get one clear line."""

from __future__ import annotations

import os

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from small_world import from_file, full_model, noise, refused
from torch import nn

from pathsearch.encoders.encoder import MEAN, STD, Encoder, choose_device
from pathsearch.encoders.frozen import digest, frozen
from pathsearch.run.settings import EncoderSettings

# Channels of the last map, and its side at 64 px: five halvings leave 2; SqueezeNet rounds up to 3.
TRUNKS = {
    "vgg11": (512, 2),
    "vgg13": (512, 2),
    "vgg16": (512, 2),
    "vgg19": (512, 2),
    "squeezenet1_1": (512, 3),
    "resnet18": (512, 2),
    "resnet50": (2048, 2),
    "mobilenet_v3_small": (576, 2),
    "efficientnet_b0": (1280, 2),
    "densenet121": (1024, 2),
}
QUICK = ("squeezenet1_1", "resnet18", "mobilenet_v3_small")


def random(name: str = "squeezenet1_1", **options: object) -> Encoder:
    return Encoder(EncoderSettings(name, "random", **({"image_size": 64} | options)))


# --- frozen -------------------------------------------------------------------------------------------------------


def what_moved(network: nn.Module) -> set[str]:
    """What a forward pass in a parent's training mode changes of `network`, and what would take a gradient."""
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    parent = nn.Sequential(network)
    parent.train()
    parent(torch.rand(4, 3, 64, 64))
    moved = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    return moved | {name for name, parameter in network.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("name", QUICK)
def test_a_trunk_is_frozen_buffers_included(name):
    assert what_moved(random(name).trunk) == set()


def test_what_moved_sees_a_network_that_is_not_frozen():
    model = full_model("resnet18")
    assert {"bn1.running_mean", "bn1.num_batches_tracked", "conv1.weight"} <= what_moved(model)
    model.requires_grad_(False)  # parameters alone: batch normalisation goes on learning
    moved = what_moved(model)
    assert "bn1.running_var" in moved
    assert not any(name.endswith("weight") for name in moved)


def test_a_frozen_network_answers_the_same_whatever_its_parent_does():
    trunk = frozen(full_model("mobilenet_v3_small"))  # dropout and batch normalisation
    x = torch.rand(2, 3, 64, 64)
    first = trunk(x)
    nn.Sequential(trunk).train()
    assert not trunk.training
    assert not any(part.training for part in trunk.modules())
    assert torch.equal(trunk(x), first)


def test_encoding_leaves_the_digest_alone():
    encoder = random()
    encoder(noise())
    assert digest(encoder.trunk) == encoder.weights_sha256


# --- random weights, digest, key ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", QUICK)
def test_random_weights_come_from_their_seed_alone(name):
    state = torch.get_rng_state()
    first = random(name)
    assert torch.equal(torch.get_rng_state(), state), "the global generator was read"
    with torch.random.fork_rng():
        torch.manual_seed(99)
        assert random(name).weights_sha256 == first.weights_sha256
    assert random(name, random_seed=1).weights_sha256 != first.weights_sha256


def test_the_label_says_that_weights_are_random():
    assert random(random_seed=3).weights_label == "random (He, seed 3)"


@settings(max_examples=30)
@given(data=st.data())
def test_digest_changes_with_any_weight_or_buffer(data):
    network = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.Linear(4, 2))
    before = digest(network)
    name = data.draw(st.sampled_from(sorted(network.state_dict())))
    tensor = network.state_dict()[name].view(-1)
    tensor[data.draw(st.integers(0, len(tensor) - 1))] += 1
    assert digest(network) != before


def test_digest_covers_names_and_shapes():
    weight = torch.zeros(6)

    def of(name: str, *shape: int) -> str:
        module = nn.Module()
        module.register_buffer(name, weight.view(*shape))
        return digest(module)

    assert len({of("a", 2, 3), of("a", 3, 2), of("b", 2, 3)}) == 3


def test_key_follows_what_decides_features_and_not_the_weights_description(tmp_path):
    trunk = random()
    save_file({k: t.contiguous() for k, t in trunk.trunk.network.state_dict().items()}, tmp_path / "same.safetensors")
    same = from_file(tmp_path / "same.safetensors")
    assert same.weights_label != trunk.weights_label
    assert same.key == trunk.key
    others = [random(random_seed=1), random(image_size=72), random(map_size=2), random("squeezenet1_0")]
    assert len({trunk.key, *(other.key for other in others)}) == 5


# --- maps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [name if name in (*QUICK, "vgg16") else pytest.param(name, marks=pytest.mark.slow) for name in TRUNKS]
)
def test_every_promised_trunk_gives_maps(name):
    encoder = random(name)
    channels, side = TRUNKS[name]
    maps = encoder(noise())
    assert encoder.feature_shape == (channels, side, side)
    assert maps.shape == (2, channels, side, side)
    assert maps.dtype == torch.float16
    assert not torch.equal(maps[0], maps[1])


@pytest.mark.parametrize("name", [*QUICK, pytest.param("densenet121", marks=pytest.mark.slow)])
def test_maps_are_those_of_torchvisions_own_features(name, tmp_path):
    model = full_model(name).eval()
    torch.save(model.state_dict(), tmp_path / "w.pth")
    x = (noise().float() / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    seen: list[torch.Tensor] = []
    # what torchvision pools or classifies is what the trunk gives
    next_part = model.classifier if hasattr(model, "classifier") else model.avgpool
    next_part = model.avgpool if hasattr(model, "avgpool") else next_part
    next_part.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    with torch.no_grad():
        model(x)
    oracle = seen[0]
    if name.startswith("densenet"):  # it pools in a function: the classifier gets the means over positions
        maps = from_file(tmp_path / "w.pth", name)(noise()).float().mean((2, 3))
    else:
        maps = from_file(tmp_path / "w.pth", name)(noise()).float()
    torch.testing.assert_close(maps, oracle, rtol=2e-3, atol=2e-3)


def test_larger_maps_are_averaged_down_and_smaller_ones_left():
    whole = random(image_size=64, map_size=7)(noise()).float()  # 3 × 3
    assert torch.equal(random(map_size=3)(noise()).float(), whole)
    down = random(map_size=2)(noise()).float()
    torch.testing.assert_close(down, F.adaptive_avg_pool2d(whole, 2), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", QUICK)
def test_bfloat16_is_another_encoder_with_nearly_the_same_features(name):
    exact, rough = random(name), random(name, precision="bfloat16")
    assert exact.key != rough.key, "their features must never be mixed"
    assert exact.weights_sha256 == rough.weights_sha256
    assert "precision" not in exact.identity, "what was encoded in float32 stays valid"
    one, other = (encoder(noise(4, 64)).flatten(1).float() for encoder in (exact, rough))
    assert not torch.equal(one, other)
    assert F.cosine_similarity(one, other).min() > 0.999
    assert {one.maps(noise(1, 64))[0].dtype for one in (exact, rough)} == {torch.float32}


def test_features_beyond_float16_are_refused(tmp_path):
    state = {name: tensor * 1e3 for name, tensor in full_model().features.state_dict().items()}
    save_file(state, tmp_path / "loud.safetensors")
    with refused("features are not finite in float16; are the weights those of this architecture"):
        from_file(tmp_path / "loud.safetensors")


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vgg-16", "did you mean 'vgg16'"),
        ("resnet81", "did you mean 'resnet"),
        ("xyz", "see torchvision.models for the names"),
        ("vit_b_16", "no convolutional trunk that can be cut off; choose one of .*vgg"),
        ("swin_t", "no convolutional trunk"),
        ("regnet_y_400mf", "no convolutional trunk"),
        ("inception_v3", "no convolutional trunk"),
    ],
)
def test_a_wrong_name_gets_the_nearest_right_one(name, message):
    with refused(message):
        random(name)


def test_random_weights_are_refused_where_a_part_would_stay_uninitialised():
    with refused("known initialisation, got CNBlock; use imagenet or a file"):  # its layer scales
        random("convnext_tiny")


# --- devices ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def cuda(monkeypatch):
    """A machine that says it has CUDA, whose settings are put back."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark
    matmul.allow_tf32 = cudnn.allow_tf32 = cudnn.benchmark = True
    yield
    matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = before
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("name", ["cuda", "auto"])
def test_float32_is_float32_on_cuda_and_repeats(cuda, name):
    assert choose_device(name) == torch.device("cuda")
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cudnn.benchmark
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_the_cpu_changes_no_setting(cuda):
    assert choose_device("cpu") == torch.device("cpu")
    assert torch.backends.cudnn.allow_tf32
    assert not torch.are_deterministic_algorithms_enabled()
