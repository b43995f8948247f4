from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from data_prep.errors import BadData, PathsearchError
from data_prep.folder import prepare_folder
from data_prep.images import read_image
from pathsearch.experts.pictures import image_files

pydicom = pytest.importorskip("pydicom")
DEEP = np.array([[1000, 2000], [3000, 2000]], dtype=np.uint16)


def write_dicom(file, pixels, kind="MONOCHROME2", **tags):
    """A minimal secondary capture with these pixels."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    bits = pixels.dtype.itemsize * 8
    colour = kind == "RGB"
    data.Rows, data.Columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = bits, bits, bits - 1, 0
    data.SamplesPerPixel = 3 if colour else 1
    data.PhotometricInterpretation = kind
    if colour:
        data.PlanarConfiguration = 0
    for name, value in tags.items():
        setattr(data, name, value)
    data.PixelData = pixels.tobytes()
    file.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(file, enforce_file_format=True)
    return file


def shown(file):
    return np.asarray(read_image(file, None)).tolist()


def test_sixteen_bits_are_scaled_by_their_own_range(tmp_path):
    assert shown(write_dicom(tmp_path / "x.dcm", DEEP)) == [[0, 128], [255, 128]]  # as in a PNG of 16 bits


@pytest.mark.parametrize("tags", [{"Rows": 1}, {"Columns": 1}])
def test_more_pixels_than_rows_and_columns_are_refused(tmp_path, tags):
    file = write_dicom(tmp_path / "x.dcm", np.zeros((4, 4), np.uint8), **tags)
    with pytest.raises(BadData, match=r"x.dcm: expected a DICOM file with one picture, got .*replace or remove"):
        read_image(file, None)


def test_high_is_dark_in_monochrome1(tmp_path):
    # the range is turned round: (3000 - 2000) / 2000 · 255 = 127.5, rounded to even
    assert shown(write_dicom(tmp_path / "x.dcm", DEEP, "MONOCHROME1")) == [[255, 128], [0, 128]]
    eight = np.array([[10, 200]], dtype=np.uint8)
    assert shown(write_dicom(tmp_path / "y.dcm", eight, "MONOCHROME1")) == [[245, 55]]
    assert shown(write_dicom(tmp_path / "z.DICOM", eight)) == [[10, 200]], "eight bits stay as they are"


def test_the_files_window_decides_what_is_seen(tmp_path):
    # all below 1500 is black and all above 2500 white, whatever the picture's range
    wide = np.array([[0, 1000, 2000], [2600, 9000, 60000]], dtype=np.uint16)
    rows = shown(write_dicom(tmp_path / "x.dcm", wide, WindowCenter=2000, WindowWidth=1000))
    assert rows[0][:2] == [0, 0]
    assert rows[1] == [255, 255, 255]
    assert 120 < rows[0][2] < 135
    assert shown(write_dicom(tmp_path / "y.dcm", wide))[1][0] < 20, "without it, the bright pixel darkens the rest"


def test_colour_stays_colour(tmp_path):
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    image = read_image(write_dicom(tmp_path / "x.dcm", pixels, "RGB"), None)
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), pixels)


def test_a_folder_of_dicom_files_is_a_task(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(24):
        pixels = rng.integers(0, 4096, (20, 16), dtype=np.uint16)
        write_dicom(tmp_path / "raw" / "ab"[number % 2] / f"{number}.dcm", pixels)
    task = prepare_folder(tmp_path / "raw", tmp_path, name="ct", image_size=16)
    assert len(task.table) == 24
    with Image.open(task.files()[0]) as image:
        assert (image.mode, image.size) == ("L", (16, 16))
        assert image.getextrema()[1] > 200, "12 of 16 bits are scaled, not clipped and not dark"


@pytest.mark.parametrize("spoil", [lambda data: b"", lambda data: b"no dicom", lambda data: data[:-3]])
def test_damaged_files_are_named(tmp_path, spoil):
    file = write_dicom(tmp_path / "x.dcm", DEEP)
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(BadData, match=r"x.dcm: expected a DICOM file with one picture, got") as caught:
        read_image(file, None)
    assert "\n" not in str(caught.value)


def test_several_frames_are_refused(tmp_path):
    file = write_dicom(tmp_path / "x.dcm", np.zeros((3, 4, 4), np.uint16), NumberOfFrames=3)
    with pytest.raises(BadData, match=r"3 frames; save each as a file of its own"):
        read_image(file, None)


def test_without_pydicom_the_line_says_what_to_install(tmp_path, monkeypatch):
    file = write_dicom(tmp_path / "x.dcm", DEEP)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(PathsearchError, match=r"x.dcm: expected pydicom .*pip install 'pathsearch\[dicom\]'") as caught:
        read_image(file, None)
    assert "\n" not in str(caught.value)


def test_files_without_a_suffix_are_found_by_their_letters(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(24):
        pixels = rng.integers(0, 4096, (20, 16), dtype=np.uint16)
        name = f"1.2.840.{number}.7" if number % 4 else f"IM{number:06d}"  # as exports of archives are called
        write_dicom(tmp_path / "raw" / "ab"[number % 2] / name, pixels)
    (tmp_path / "raw" / "a" / "README").write_text("no picture")
    (tmp_path / "raw" / "b" / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    task = prepare_folder(tmp_path / "raw", tmp_path, name="ct", image_size=16)
    assert len(task.table) == 24
    assert "images/b/1%2E2%2E840%2E1%2E7.png" in set(task.table["file"]), "a dot in it is no suffix"
    assert task.info["notes"] == ["2 files that are no images were ignored, such as 'DICOMDIR'"]


def test_too_many_pixels_are_refused_before_decoding(tmp_path):
    file = write_dicom(tmp_path / "x.dcm", DEEP)
    data = pydicom.dcmread(file)
    data.Rows = data.Columns = 65_000
    data.save_as(file)
    with pytest.raises(BadData, match=r"x.dcm: expected an image of at most 67,108,864 pixels, got 65,000 × 65,000"):
        read_image(file, None)


def test_what_is_deflated_as_a_whole_is_refused_before_it_fills_memory(tmp_path, monkeypatch):
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    file = write_dicom(tmp_path / "x.dcm", DEEP)
    data = pydicom.dcmread(file)
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data.save_as(tmp_path / "y.dcm", enforce_file_format=True)
    monkeypatch.setattr(pydicom, "dcmread", None)
    with pytest.raises(BadData, match=r"y.dcm: .*deflated as a whole; save it without that"):
        read_image(tmp_path / "y.dcm", None)


def test_a_folder_of_new_images_has_its_files_without_a_suffix_too(tmp_path):
    write_dicom(tmp_path / "new" / "IM000001", DEEP)
    (tmp_path / "new" / "README").write_text("no picture")
    assert list(image_files([str(tmp_path / "new")], ())) == [tmp_path / "new" / "IM000001"]
