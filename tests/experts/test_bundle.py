"""Bundles: whole, portable, and refused when anything in them is not what it was."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bundles import TASKS, write, written
from safetensors.torch import save_file
from small_world import CPU, SIZE, copied, encoder, finished, full_model, noise, refused, scratch, task

from pathsearch import __version__
from pathsearch.encoders.encoder import Encoder
from pathsearch.experts import bundle
from pathsearch.experts.expert import Expert
from pathsearch.run.settings import EncoderSettings


@pytest.fixture
def mine(tmp_path) -> Path:
    """A bundle that a test may damage."""
    out = tmp_path / "mine"
    write(out)
    return out


def own_digest(index: dict[str, Any]) -> str:
    """What the index must say of itself: of everything in it but that."""
    rest = {key: value for key, value in index.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def rewrite(folder: Path, change) -> None:
    """Change the index of a bundle in place."""
    file = folder / bundle.INDEX
    index = json.loads(file.read_text())
    change(index)
    index["sha256"] = own_digest(index)
    file.write_text(json.dumps(index))


# --- what is in it --------------------------------------------------------------------------------------------------


def test_a_bundle_names_everything_and_every_digest():
    index = json.loads((written() / "bundle.json").read_text())
    files = {file.relative_to(written()).as_posix() for file in written().rglob("*") if file.is_file()}
    assert set(index["files"]) == files - {"bundle.json"}
    assert (index["format"], index["pathsearch"]) == (1, __version__)
    assert index["encoder"] == {**encoder().identity, "key": encoder().key}
    assert list(index["tasks"]) == list(TASKS)
    for name, entry in index["tasks"].items():
        assert entry["classes"] == list(task(name).classes)
        assert (written() / entry["expert"]).read_bytes() == finished(name).expert_file.read_bytes()
        assert (written() / entry["router"]).read_bytes() == finished(name).router_file.read_bytes()
    assert index["preparation"]["sizes"] == [SIZE]
    assert index["preparation"]["grey"]


def test_no_file_of_a_bundle_says_where_it_was_made():
    for file in written().rglob("*"):
        if file.is_file():
            assert str(scratch()).encode() not in file.read_bytes(), file.name


def test_the_files_can_be_read_by_others():
    assert {oct(file.stat().st_mode & 0o777) for file in written().rglob("*") if file.is_file()} == {"0o644"}


@pytest.mark.parametrize("with_encoder", [False, True])
def test_a_loaded_bundle_gives_the_same_answers(tmp_path, with_encoder):
    write(tmp_path / "out", with_encoder=with_encoder)
    assert (tmp_path / "out" / "encoder.safetensors").exists() == with_encoder
    (tmp_path / "out").rename(tmp_path / "moved")
    loaded = bundle.load(tmp_path / "moved", CPU)
    assert loaded.model.encoder.identity == encoder().identity
    images, names = noise(5, SIZE), list("abcde")
    from pathsearch.experts.model import Model

    assert loaded.model.answer(images, names) == Model.of([finished(t) for t in TASKS], CPU).answer(images, names)


@pytest.mark.parametrize("name", ["squeezenet1_1", "resnet18", "densenet121", "vgg11_bn"])
def test_a_trunk_travels_under_torchvisions_names(tmp_path, name):
    model = full_model(name)
    save_file(model.state_dict(), tmp_path / "whole.safetensors")
    first = Encoder(EncoderSettings(name, str(tmp_path / "whole.safetensors"), image_size=32))
    state = first.state()
    assert set(state) <= set(model.state_dict())
    save_file(state, tmp_path / "trunk.safetensors")
    second = Encoder(EncoderSettings(name, str(tmp_path / "trunk.safetensors"), image_size=32))
    assert second.weights_sha256 == first.weights_sha256
    assert second.key == first.key


def test_weights_of_a_file_are_always_inside(tmp_path, monkeypatch):
    weights = tmp_path / "secret" / "w.safetensors"
    weights.parent.mkdir()
    save_file(encoder().state(), weights)
    run = copied(finished("stripes"), tmp_path)
    config = json.loads(run.config_file.read_text())
    config["encoder"]["weights"] = str(weights)
    run.config_file.write_text(json.dumps(config))
    run.seal()
    index = write(tmp_path / "out", runs=[run])
    weights.unlink()
    assert index["encoder_weights"] == "encoder.safetensors"
    loaded = bundle.load(tmp_path / "out", CPU)
    assert loaded.model.encoder.weights_sha256 == encoder().weights_sha256
    assert loaded.model.encoder.weights_label.startswith("file w.safetensors")


def test_precision_travels(tmp_path):
    run = copied(finished("stripes"), tmp_path)
    config, report = json.loads(run.config_file.read_text()), run.report()
    config["encoder"]["precision"] = "bfloat16"
    run.config_file.write_text(json.dumps(config))
    run.seal()
    rough = Encoder(run.settings().encoder)
    report["encoder"] = {**rough.identity, "key": rough.key}  # as if the expert had been made with it
    run.report_file.write_text(json.dumps(report))
    run.seal()
    write(tmp_path / "out", runs=[run])
    loaded = bundle.load(tmp_path / "out", CPU).model.encoder
    assert loaded.settings.precision == "bfloat16"
    assert loaded.key == rough.key != encoder().key


# --- whole or not at all --------------------------------------------------------------------------------------------


def test_a_failed_bundle_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "card", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_taken_folder_is_refused_and_kept(mine, tmp_path):
    before = (mine / "bundle.json").read_bytes()
    with refused("--out mine: expected a new folder, got one that is taken; give --overwrite"):
        write(mine)
    assert (mine / "bundle.json").read_bytes() == before
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.txt").write_text("dear to me")
    with refused("--out photos: expected a new folder.*; give another --out"):
        write(tmp_path / "photos", overwrite=True)


def test_overwrite_replaces_all_of_a_bundle(mine, tmp_path):
    (mine / "old.txt").write_text("from before")
    write(mine, ["blobs"], overwrite=True)
    assert not (mine / "old.txt").exists()
    assert list(bundle.load(mine, CPU).model.experts) == ["blobs"]
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


def test_runs_that_do_not_belong_together_are_refused(tmp_path):
    with refused("task 'stripes' is named twice"):
        write(tmp_path / "out", ["stripes", "stripes"])
    other = copied(finished("blobs"), tmp_path)
    report = other.report()
    report["encoder"]["key"] = "another"
    other.report_file.write_text(json.dumps(report))
    other.seal()
    with refused("expected runs that share one encoder"):
        write(tmp_path / "out", runs=[finished("stripes"), other])
    assert not (tmp_path / "out").exists()


def test_a_task_prepared_otherwise_since_is_refused(tmp_path):
    run = copied(finished("blobs"), tmp_path)
    config = json.loads(run.config_file.read_text())
    run.config_file.write_text(json.dumps(config | {"data": "of before"}))
    run.seal()
    with refused("run blobs: task 'blobs' was prepared differently since"):
        write(tmp_path / "out", runs=[run])


# --- planted faults -------------------------------------------------------------------------------------------------


def test_a_changed_byte_in_any_file_is_refused(tmp_path):
    names = json.loads((written() / "bundle.json").read_text())["files"]
    assert len(names) == 6
    for name in names:
        mine = tmp_path / "copy"
        write(mine, with_encoder=True, overwrite=True)
        data = bytearray((mine / name).read_bytes())
        data[len(data) // 2] ^= 1
        (mine / name).write_bytes(data)
        with refused(
            f"bundle .*: {name}: expected SHA-256 .{{12}}…, got .{{12}}…: .*damaged or changed; copy the bundle"
        ):
            bundle.load(mine, CPU)


def test_a_missing_file_is_refused(mine):
    (mine / "routers" / "blobs.safetensors").unlink()
    with refused("expected the file routers/blobs.safetensors, got none; copy the bundle again"):
        bundle.load(mine, CPU)


def test_another_encoder_is_refused(mine):
    def reseed(index):
        index["random_seed"] = 1

    rewrite(mine, reseed)
    with refused(r"expected encoder weights .*\(random \(He, seed 0\)\), this machine gives .*--with-encoder"):
        bundle.load(mine, CPU)


def test_another_image_size_is_refused(mine):
    rewrite(mine, lambda index: index["encoder"].update(image_size=64))
    with refused("expected encoder weights"):
        bundle.load(mine, CPU)


def test_an_expert_of_another_task_or_encoder_is_refused(mine):
    def swap(index):
        index["tasks"]["stripes"]["expert"] = index["tasks"]["blobs"]["expert"]

    rewrite(mine, swap)
    with refused("expected an expert of stripes .* got blobs"):
        bundle.load(mine, CPU)


def test_an_expert_made_on_another_encoder_is_refused(mine):
    file = mine / "experts" / "blobs.safetensors"
    expert = Expert.load(file)
    foreign = {**expert.facts.encoder, "weights_sha256": 64 * "0"}
    Expert(replace(expert.facts, encoder=foreign), expert.network.network, expert.standardise).save(file)
    rewrite(mine, lambda index: index["files"].update({"experts/blobs.safetensors": bundle.file_sha256(file)}))
    with refused("expected an expert of blobs .* on encoder .*, got .* on 000000000000"):
        bundle.load(mine, CPU)


@pytest.mark.parametrize("name", ["../../secret", "/etc/hostname", "a\\b", "C:x"])
def test_names_that_lead_out_of_the_bundle_are_refused(mine, name):
    rewrite(mine, lambda index: index["files"].update({name: "0"}))
    with refused("expected names of files inside it, got .*; do not use it"):
        bundle.load(mine, CPU)


@pytest.mark.parametrize("source", ["/etc/hostname", "../outside", "w.safetensors", "encoder.safetensors/", 3])
def test_encoder_weights_are_inside_or_known_by_name(mine, source):
    rewrite(mine, lambda index: index.update(encoder_weights=source))
    with refused("encoder_weights: expected one of encoder.safetensors, imagenet, random, none; got .*; do not use it"):
        bundle.load(mine, CPU)


def test_encoder_weights_inside_need_a_digest(tmp_path):
    write(tmp_path / "out", with_encoder=True)
    rewrite(tmp_path / "out", lambda index: index["files"].pop("encoder.safetensors"))
    with refused("lacks or garbles 'digest of encoder.safetensors'"):
        bundle.load(tmp_path / "out", CPU)


@pytest.mark.parametrize("name", ["experts/blobs.safetensors", "encoder.safetensors", "experts", "bundle.json"])
def test_links_are_refused_wherever_they_lead(tmp_path, name):
    mine = tmp_path / "mine"
    write(mine, with_encoder=True)
    (mine / name).rename(tmp_path / "elsewhere")
    (mine / name).symlink_to(tmp_path / "elsewhere")
    with refused(f"expected files, got a link at '{name}'; do not use it"):
        bundle.load(mine, CPU)


def test_a_changed_index_is_refused(mine):
    file = mine / bundle.INDEX
    content = file.read_text()
    file.write_text(content.replace('"grey": true', '"grey": false'))
    with refused("bundle.json differs from its own digest: it was damaged or changed; copy the bundle again"):
        bundle.load(mine, CPU)
    index = json.loads(content)
    del index["sha256"]
    file.write_text(json.dumps(index))
    bundle.load(mine, CPU)  # as an earlier version wrote it


def test_an_expert_without_a_digest_is_refused(mine):
    rewrite(mine, lambda index: index["files"].pop("experts/blobs.safetensors"))
    with refused("bundle.json lacks or garbles 'digest of blobs.safetensors'"):
        bundle.load(mine, CPU)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "bundle.json is not readable as JSON"),
        ("[1]", "bundle.json is not readable as JSON"),
        ('{"format": 7, "pathsearch": "9.1"}', r"expected format 1, got 7; use the pathsearch that made it \(9.1\)"),
        ('{"format": 1}', "bundle.json lacks or garbles 'files'"),
        ('{"format": 1, "files": [], "encoder": 3}', "bundle.json lacks or garbles"),
    ],
)
def test_a_malformed_index_is_refused(mine, text, match):
    (mine / "bundle.json").write_text(text)
    with refused(match):
        bundle.load(mine, CPU)


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("encoder", "weights_sha256", None),
        ("encoder", "key", 7),
        ("encoder", "weights", ["x"]),
        ("preparation", "sizes", "48"),
        ("preparation", "sizes", ["48"]),
        ("preparation", "sizes", [0]),
        ("preparation", "grey", "no"),
    ],
)
@pytest.mark.parametrize("gone", [False, True])
def test_garbled_fields_are_refused(mine, part, field, value, gone):
    rewrite(mine, lambda index: index[part].pop(field) if gone else index[part].update({field: value}))
    with refused("bundle.json lacks or garbles"):
        bundle.load(mine, CPU)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with refused("expected a folder with bundle.json, got none; make one: pathsearch bundle RUN … --out DIR"):
        bundle.load(tmp_path, CPU)
