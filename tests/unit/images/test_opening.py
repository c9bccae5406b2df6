"""Laws of opening images: only as the format that the name says, and never more pixels than the limit."""

import io
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from labelgrid.basics.errors import ImageError, LabelError, MemoryShortageError, UsageError
from labelgrid.formats.arrays import samples, stored_size
from labelgrid.formats.codecs import depth
from labelgrid.images import opening
from labelgrid.images.listing import EXTENSIONS
from labelgrid.images.opening import FORMATS, max_pixels
from labelgrid.images.reading import check_image, image_size, read_image

PIXELS = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)


def saved(kind: str, pixels: np.ndarray = PIXELS) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(height: int, width: int, bits: int = 16) -> bytes:
    """A small PNG whose header says that it is large; the pixels are missing."""
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def refused(path: Path, sentence: str) -> None:
    for read in (read_image, check_image, image_size):
        with pytest.raises(ImageError) as error:
            read(path)
        assert sentence in str(error.value) and str(path) in str(error.value)


@pytest.mark.parametrize("extension", sorted(EXTENSIONS))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF"])
def test_content_is_read_only_as_the_format_that_the_name_says(
    tmp_path: Path, extension: str, kind: str
) -> None:
    path = tmp_path / f"a{extension}"
    path.write_bytes(saved(kind))
    if FORMATS[extension] == kind:
        assert read_image(path).shape == PIXELS.shape and check_image(path)[:2] == image_size(
            path
        ) == (20, 30)
    else:
        refused(
            path,
            f"The image cannot be used: its name ends in {extension}, but its content is {kind}",
        )


def test_postscript_never_reaches_ghostscript(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was called")
    )
    (tmp_path / "a.jpg").write_bytes(saved("EPS"))
    refused(tmp_path / "a.jpg", "its name ends in .jpg, but its content is PostScript")
    (tmp_path / "a.tiff").write_bytes(saved("EPS"))
    with pytest.raises(LabelError, match="its content is PostScript"):
        samples(tmp_path / "a.tiff")


def test_a_label_is_read_only_as_the_format_that_its_name_says(tmp_path: Path) -> None:
    (tmp_path / "a.tiff").write_bytes(saved("PNG", np.full((4, 5), 1000, np.uint16)))
    with pytest.raises(
        LabelError, match=r"its name ends in \.tiff, but its content is PNG(.|\n)*end in \.png"
    ):
        depth.read(tmp_path / "a.tiff", depth.Options())
    np.save(tmp_path / "a.npy", np.ones((4, 5)))
    (tmp_path / "a.npy").rename(tmp_path / "a.png")
    with pytest.raises(LabelError, match="its content is NPY"):
        depth.read(tmp_path / "a.png", depth.Options())


def test_a_photograph_of_a_phone_with_the_wrong_name_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    refused(tmp_path / "a.jpg", "its content is HEIF")


@pytest.mark.timeout(60)
def test_giants_are_refused_by_their_headers(tmp_path: Path) -> None:
    start = time.monotonic()
    (tmp_path / "a.png").write_bytes(bomb(20_001, 10_000))
    refused(tmp_path / "a.png", "it has 20001x10000 pixels, more than the limit of 200 million")
    with pytest.raises(LabelError, match="more than the limit of 200 million"):
        samples(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(bomb(2**31 - 1, 2**31 - 1))
    refused(tmp_path / "b.png", "more than the limit of 200 million")
    assert time.monotonic() - start < 5


def test_a_variable_raises_the_limit_and_a_wrong_value_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").write_bytes(saved("PNG"))
    monkeypatch.setenv("LABELGRID_MAX_PIXELS", "599")
    refused(tmp_path / "a.png", "it has 20x30 pixels, more than the limit of 0.000599 million")
    monkeypatch.setenv("LABELGRID_MAX_PIXELS", "600")
    assert read_image(tmp_path / "a.png").shape == PIXELS.shape
    (tmp_path / "b.png").write_bytes(bomb(30_000, 20_000))
    monkeypatch.setenv("LABELGRID_MAX_PIXELS", "600000000")
    assert image_size(tmp_path / "b.png") == (30_000, 20_000)
    for wrong in ("", "0", "-5", "2e8", "many", "9" * 5000):
        monkeypatch.setenv("LABELGRID_MAX_PIXELS", wrong)
        with pytest.raises(UsageError, match="LABELGRID_MAX_PIXELS"):
            max_pixels()


def test_a_file_far_larger_than_its_pixels_can_be_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.write(saved("PNG"))
        file.truncate(10**11)
    for read in (read_image, check_image):
        with pytest.raises(ImageError, match="its 100000 MB are more than the 1667 MB"):
            read(tmp_path / "a.png")
    with pytest.raises(LabelError, match="its 100000 MB are more than"):
        samples(tmp_path / "a.png")


@pytest.mark.parametrize("cut", [-8, 8])
def test_an_npy_must_hold_exactly_what_its_header_says(tmp_path: Path, cut: int) -> None:
    np.save(tmp_path / "a.npy", np.ones((4, 5)))
    data = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(data[:cut] if cut < 0 else data + bytes(cut))
    with pytest.raises(
        LabelError, match=r"cannot be read: its 4x5 float64 need 160 bytes, and it holds (152|168)"
    ):
        samples(tmp_path / "a.npy")


@pytest.mark.parametrize(
    "header", ["{'descr': '<f8', 'fortran_order': False, 'shape': (10**9, 10**9), }", "((((", "9"]
)
def test_a_wrong_npy_header_is_refused(tmp_path: Path, header: str) -> None:
    text = header.ljust(117) + "\n"
    (tmp_path / "a.npy").write_bytes(
        b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()
    )
    with pytest.raises(LabelError, match=r"This \.npy file cannot be read"):
        samples(tmp_path / "a.npy")


def test_the_stored_size_is_read_from_the_header(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(bomb(9000, 7000))
    Image.new("F", (6, 4)).save(tmp_path / "a.tiff")
    np.save(tmp_path / "a.npy", np.ones((4, 5)))
    assert [stored_size(tmp_path / f"a.{end}") for end in ("png", "tiff", "npy")] == [
        (9000, 7000),
        (4, 6),
        None,
    ]
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(LabelError, match="damaged or cut short"):
        stored_size(tmp_path / "a.png")


def test_a_sound_file_that_memory_does_not_suffice_for_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(path)
    faults = (MemoryError(), OSError("out of memory error when reading image file"))
    for fault in faults:

        def load(_image: object, fault: Exception = fault) -> None:
            raise fault

        with monkeypatch.context() as patched:
            patched.setattr("PIL.ImageFile.ImageFile.load", load)
            with pytest.raises(MemoryShortageError, match="not enough memory") as caught:
                read_image(path)
        assert "damaged" not in str(caught.value)
        assert str(path) in str(caught.value)


def test_a_decoder_that_does_not_say_why_it_failed_is_asked_for_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe0 no picture")
    with pytest.raises(ImageError, match="damaged"):
        read_image(path)

    def refuse(_handle: int, size: int) -> None:
        assert size >= 2**26
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(opening.mmap, "mmap", refuse)
    with pytest.raises(MemoryShortageError):
        read_image(path)
