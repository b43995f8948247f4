from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from data_prep.errors import CannotWrite
from data_prep.whole_files import appears_whole, folder_appears_whole, write_json, write_text

resource = pytest.importorskip("resource", reason="limits of POSIX")


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can grow beyond 100 bytes, as on a full disk; not while pytest writes its log."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_line_with_the_files_name(tmp_path):
    write_text(tmp_path / "x.json", "small")
    refused = pytest.raises(CannotWrite, match=r"x.json: expected to be written, got .*; free some space")
    with full_disk(), refused as caught:
        write_json(tmp_path / "x.json", list(range(1000)))
    assert "\n" not in str(caught.value)
    assert (tmp_path / "x.json").read_text() == "small"
    assert [child.name for child in tmp_path.iterdir()] == ["x.json"], "nothing half written is left"


def test_a_full_disk_in_a_folder_names_the_folder(tmp_path):
    refused = pytest.raises(CannotWrite, match=r"/out: expected to be written")
    with full_disk(), refused, folder_appears_whole(tmp_path / "out") as p:
        (p / "x").write_text("x" * 1000)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match=r"file/x.txt: expected to be written, got"):
        write_text(tmp_path / "file" / "x.txt", "")
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    with pytest.raises(CannotWrite, match=r"folder: expected to be written, got"):
        write_text(tmp_path / "folder", "")
    assert sorted(child.name for child in tmp_path.iterdir()) == ["file", "folder"]


def test_errors_of_reading_other_files_stay_what_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), appears_whole(tmp_path / "x"):
        (tmp_path / "other").read_text()
    with pytest.raises(TimeoutError), folder_appears_whole(tmp_path / "x"):
        raise TimeoutError(errno.ETIMEDOUT, "the server")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("umask", [0o077, 0o022])
def test_permissions_are_those_that_the_umask_leaves(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "x", "")
        with folder_appears_whole(tmp_path / "y"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o666 & ~umask
    assert (tmp_path / "y").stat().st_mode & 0o777 == 0o777 & ~umask
