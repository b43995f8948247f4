from __future__ import annotations

import os

import pytest

from data_prep.construction import existing_source, provenance, task_under_construction, write_provenance
from data_prep.ecg import prepare_ecg
from data_prep.errors import BadData, PathsearchError
from data_prep.manifest import load_task, prepared_tasks


def build(data_dir, name="pets", overwrite=False, content="{}"):
    with task_under_construction(data_dir, name, overwrite) as part:
        (part / "task.json").write_text(content)


def test_the_name_appears_only_at_the_end(tmp_path):
    with task_under_construction(tmp_path / "data", "pets", overwrite=False) as part:
        (part / "task.json").write_text("{}")
        assert prepared_tasks(tmp_path / "data") == []
    assert prepared_tasks(tmp_path / "data") == ["pets"]
    assert [child.name for child in (tmp_path / "data").iterdir()] == ["pets"]


def test_a_finished_task_is_refused_and_then_replaced_on_demand(tmp_path):
    build(tmp_path, content="old")
    with pytest.raises(PathsearchError, match=r"got one that is prepared in .*; add --overwrite to replace it"):
        build(tmp_path)
    build(tmp_path, overwrite=True, content="new")
    assert (tmp_path / "pets" / "task.json").read_text() == "new"
    assert [child.name for child in tmp_path.iterdir()] == ["pets"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_replacement_leaves_the_old_task(tmp_path, error):
    build(tmp_path, content="old")

    def fail():
        with task_under_construction(tmp_path, "pets", overwrite=True) as part:
            (part / "task.json").write_text("new")
            raise error

    with pytest.raises(error):
        fail()
    assert (tmp_path / "pets" / "task.json").read_text() == "old"
    assert [child.name for child in tmp_path.iterdir()] == ["pets"]


def test_a_folder_that_is_no_task_is_never_replaced(tmp_path):
    (tmp_path / "pets").mkdir()
    (tmp_path / "pets" / "precious.png").write_text("x")
    for overwrite in (False, True):
        with pytest.raises(PathsearchError, match=r"which is no prepared task and is left untouched"):
            build(tmp_path, overwrite=overwrite)
    assert (tmp_path / "pets" / "precious.png").is_file()


def test_an_empty_folder_is_no_obstacle(tmp_path):
    (tmp_path / "pets").mkdir()
    build(tmp_path)
    assert prepared_tasks(tmp_path) == ["pets"]


def test_an_interrupted_preparation_leaves_no_task(ecg_source, tmp_path):
    def interrupt(done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_ecg(ecg_source, tmp_path, image_size=16, progress=interrupt)
    assert list(tmp_path.iterdir()) == []
    first = prepare_ecg(ecg_source, tmp_path, image_size=16)
    with pytest.raises(KeyboardInterrupt):
        prepare_ecg(ecg_source, tmp_path, image_size=32, overwrite=True, progress=interrupt)
    assert load_task(tmp_path, "ecg").images_digest == first.images_digest


def test_a_source_must_be_there(tmp_path):
    with pytest.raises(BadData, match=r"expected a folder, got nothing there"):
        existing_source(tmp_path / "x", "a folder")
    (tmp_path / "x").write_text("")
    with pytest.raises(BadData, match=r"expected a folder, got a file"):
        existing_source(tmp_path / "x", "a folder")
    with pytest.raises(BadData, match=r"expected a file, got a folder"):
        existing_source(tmp_path, "a file", folder=False)


def test_provenance_prefers_what_the_data_says(tmp_path):
    assert provenance(tmp_path, "guess", "unknown") == ("guess", "unknown")
    write_provenance(tmp_path, "drawn by hand", "CC0 1.0")
    assert provenance(tmp_path, "guess", "unknown") == ("drawn by hand", "CC0 1.0")


def test_litter_of_killed_preparations_goes_with_the_next(tmp_path):
    build(tmp_path, content="old")
    for litter in (".other.0123abcd.part", ".pets.0123abcd.part", ".pets.0123abcd.old"):
        (tmp_path / litter).mkdir()
        (tmp_path / litter / "x.png").write_text("half")
    build(tmp_path, overwrite=True)
    assert [child.name for child in tmp_path.iterdir()] == ["pets"]


def test_a_task_that_stepped_aside_is_found_again(tmp_path):
    """As a kill between two renames left it, on a system that cannot swap names in one step."""
    build(tmp_path, content="old")
    (tmp_path / "pets").rename(tmp_path / ".pets.0123abcd.old")
    with pytest.raises(PathsearchError, match=r"got one that is prepared"):
        build(tmp_path)
    assert (tmp_path / "pets" / "task.json").read_text() == "old"


@pytest.mark.skipif(os.name != "posix", reason="permissions")
@pytest.mark.parametrize("umask", [0o077, 0o022, 0o027])
def test_files_have_the_permissions_that_the_umask_leaves(ecg_source, tmp_path, umask):
    before = os.umask(umask)
    try:
        task = prepare_ecg(ecg_source, tmp_path / "data", image_size=16)
    finally:
        os.umask(before)
    modes = {file: file.stat().st_mode & 0o777 for file in [task.task_dir, *task.task_dir.rglob("*")]}
    assert modes == {file: (0o777 if file.is_dir() else 0o666) & ~umask for file in modes}
