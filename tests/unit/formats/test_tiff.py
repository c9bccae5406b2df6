"""Laws of TIFF labels: every kind of number and order of bytes gives what an independent reader reads."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from labelgrid.basics.errors import LabelError
from labelgrid.formats import arrays
from labelgrid.formats.codecs import depth, normals
from labelgrid.images import opening
from tests.unit.formats.label_files import refused

RNG = np.random.default_rng(0)
TYPES = ("u1", "u2", "u4", "i2", "i4", "f4", "f8")


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_and_order_of_bytes_gives_its_numbers(tmp_path, dtype, order, compression):
    stored = RNG.uniform(1, 100, (20, 30)).astype(dtype)
    path = tmp_path / "a.tiff"
    tifffile.imwrite(path, stored, byteorder=order, compression=compression)
    read = arrays.samples(path)
    assert read.dtype.isnative
    assert (read == stored).all()
    assert arrays.stored_size(path) == (20, 30)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8"])
def test_three_channels_keep_their_order_and_all_bits(tmp_path, dtype, order, compression):
    stored = RNG.uniform(1, 100, (20, 30, 3)).astype(dtype)
    path = tmp_path / "a.tiff"
    options = {"byteorder": order, "compression": compression, "photometric": "rgb"}
    tifffile.imwrite(path, stored, **options)
    assert (arrays.samples(path) == stored).all()


def test_big_endian_millimetres_are_depth_in_tiff_and_npy(tmp_path):
    stored = np.array([[0, 1500]], ">u2")
    tifffile.imwrite(tmp_path / "a.tiff", stored, byteorder=">")
    np.save(tmp_path / "a.npy", stored)
    for name in ("a.tiff", "a.npy"):
        assert depth.read(tmp_path / name, depth.Options()).value[0, 1, 0] == pytest.approx(1.5)


def test_normals_are_read_from_floating_point_tiff_and_recognised(tmp_path):
    vectors = RNG.normal(size=(20, 30, 3))
    vectors[..., 2] = np.abs(vectors[..., 2])
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    path = tmp_path / "a.tiff"
    tifffile.imwrite(path, vectors.astype(np.float32), photometric="rgb")
    assert np.abs(normals.read(path, normals.Options()).value - vectors).max() < 1e-6
    recognised = normals.recognise(path)
    assert recognised is not None
    assert recognised.sure == 0.8


@pytest.mark.parametrize("dtype", ["f8", "u4"])
def test_a_cut_or_damaged_file_is_refused_and_nothing_is_printed(tmp_path, dtype, capfd):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, RNG.uniform(1, 9, (40, 50)).astype(dtype), compression="zlib")
    data = buffer.getvalue()
    path = tmp_path / "a.tiff"
    options = depth.Options(scale=1.0)
    for size in (*range(0, 300, 7), len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(LabelError, match=r"a\.tiff"):
            depth.read(path, options)
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 255
    path.write_bytes(damaged)
    refused(depth.read, path, options, "cannot be decoded")
    assert capfd.readouterr() == ("", "")


def test_several_pages_and_channels_apart_are_refused(tmp_path):
    stored = RNG.uniform(1, 9, (2, 20, 30))
    tifffile.imwrite(tmp_path / "a.tiff", stored, photometric="minisblack")
    refused(depth.read, tmp_path / "a.tiff", depth.Options(), "pages")
    apart = RNG.uniform(1, 9, (3, 20, 30)).astype(np.float32)
    tifffile.imwrite(tmp_path / "b.tiff", apart, photometric="rgb", planarconfig="separate")
    refused(normals.read, tmp_path / "b.tiff", normals.Options(), "channels are apart")


def test_a_giant_is_refused_from_its_header(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tiff", np.ones((20, 30)))
    monkeypatch.setenv(opening.LIMIT, "599")
    refused(depth.read, tmp_path / "a.tiff", depth.Options(), "20x30 pixels")


def test_what_pillow_reads_rightly_is_left_to_it(tmp_path):
    Image.fromarray(np.full((4, 5), 1500, np.uint16)).save(tmp_path / "a.tiff")
    assert depth.read(tmp_path / "a.tiff", depth.Options()).value.max() == pytest.approx(1.5)


def test_four_channels_are_no_label(tmp_path):
    path = tmp_path / "a.tiff"
    for dtype in ("u1", "u2", "f4"):
        stored = np.ones((20, 30, 4), dtype)
        tifffile.imwrite(path, stored, photometric="rgb", extrasamples=["unspecified"])
        for read, options in ((depth.read, depth.Options()), (normals.read, normals.Options())):
            with pytest.raises(LabelError):
                read(path, options)
