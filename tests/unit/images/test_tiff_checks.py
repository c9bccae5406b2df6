"""Laws of TIFF files: what a tag names beyond the file's pixels, and a wrong checksum, are refused."""

import io
import struct

import numpy as np
import pytest
import tifffile

from labelgrid.basics.errors import ImageError, LabelError
from labelgrid.formats import arrays
from labelgrid.images.reading import check_image, read_image
from labelgrid.images.tiff_checks import check_tiff

RNG = np.random.default_rng(0)
GREY = RNG.uniform(1, 3, (40, 56)).astype(np.float32)
COLOURS = RNG.integers(0, 255, (40, 56, 3), np.uint8)


def encoded(pixels, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return bytearray(buffer.getvalue())


def entry(data, tag):
    """Where a tag of a little-endian TIFF lies."""
    (start,) = struct.unpack_from("<I", data, 4)
    for number in range(struct.unpack_from("<H", data, start)[0]):
        place = start + 2 + 12 * number
        if struct.unpack_from("<H", data, place)[0] == tag:
            return place
    raise AssertionError(tag)


def with_tag(data, tag, value, kind=4):
    struct.pack_into("<HII", data, entry(data, tag) + 2, kind, 1, value)
    return data


def refused(tmp_path, data, of_label):
    path = tmp_path / "a.tiff"
    path.write_bytes(data)
    readers = (arrays.samples,) if of_label else (check_image, read_image)
    for read in readers:
        with pytest.raises((ImageError, LabelError)) as caught:
            read(path)
    return str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib"},
        {"rowsperstrip": 7},
        {"rowsperstrip": 7, "compression": "zlib"},
        {"tile": (16, 32)},
        {"tile": (16, 32), "compression": "zlib"},
        {"bigtiff": True},
        {"byteorder": ">"},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8"])
def test_sound_files_are_accepted(tmp_path, options, dtype):
    stored = (GREY * 60).astype(dtype)
    data = encoded(stored, **options)
    check_tiff(bytes(data))
    path = tmp_path / "a.tif"
    path.write_bytes(data)
    assert (arrays.samples(path) == stored).all()


def test_sound_colours_are_accepted_with_channels_together_and_apart():
    check_tiff(bytes(encoded(COLOURS, photometric="rgb", rowsperstrip=16)))
    apart = np.moveaxis(COLOURS, -1, 0)
    check_tiff(bytes(encoded(apart, photometric="rgb", planarconfig="separate", rowsperstrip=16)))


def test_a_wrong_checksum_of_a_deflated_strip_is_refused(tmp_path):
    data = encoded(GREY, compression="zlib")
    start = struct.unpack_from("<I", data, entry(data, 273) + 8)[0]
    size = struct.unpack_from("<I", data, entry(data, 279) + 8)[0]
    for place in (start + size - 1, start + size // 2):
        damaged = data.copy()
        damaged[place] ^= 1
        assert "damaged" in refused(tmp_path, damaged, of_label=True)
    with_tag(data, 279, size - 8)
    assert "cut short" in refused(tmp_path, data, of_label=True)


@pytest.mark.parametrize("start", [0, 4, 10**6])
def test_pixels_outside_of_the_file_or_in_its_header_are_refused(tmp_path, start):
    for pixels, of_label in ((GREY, True), (COLOURS, False)):
        data = with_tag(encoded(pixels), 273, start)
        assert "damaged" in refused(tmp_path, data, of_label)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"rowsperstrip": 8}], ids=str)
def test_a_height_beyond_the_pixels_is_refused(tmp_path, options):
    for rows in (40, 48):
        data = with_tag(encoded(COLOURS, photometric="rgb", **options), 257, 48)
        if "rowsperstrip" not in options:
            with_tag(data, 278, rows)
        assert "fewer pixels" in refused(tmp_path, data, of_label=False)


def test_a_place_of_pixels_that_is_no_number_is_refused(tmp_path):
    data = with_tag(encoded((GREY * 1000).astype(np.uint16)), 273, 0, kind=1)
    assert "damaged" in refused(tmp_path, data, of_label=True)


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_eight_channels_are_not_called_damaged(tmp_path, dtype, planes):
    shape = (20, 30, 8) if planes == "contig" else (8, 20, 30)
    data = encoded(np.ones(shape, dtype), photometric="minisblack", planarconfig=planes)
    for of_label in (True, False):
        text = refused(tmp_path, data, of_label)
        assert "8 channels" in text
        assert "damaged" not in text
