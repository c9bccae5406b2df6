"""Laws of image files: read right or refused with a sentence, never silently wrong."""

import io
import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from labelgrid.basics.errors import ImageError
from labelgrid.basics.files import digest
from labelgrid.images.listing import list_images
from labelgrid.images.reading import check_image, image_size, read_image

RNG = np.random.default_rng(0)


def picture(h: int = 24, w: int = 40) -> np.ndarray:
    """Four flat quarters of different colours: upright or not is plain to see, also after JPEG."""
    image = np.zeros((h, w, 3), np.uint8)
    image[: h // 2, : w // 2] = (250, 10, 10)
    image[: h // 2, w // 2 :] = (10, 250, 10)
    image[h // 2 :, : w // 2] = (10, 10, 250)
    image[h // 2 :, w // 2 :] = (200, 200, 40)
    return image


def refused(path: Path, *words: str) -> None:
    for read in (read_image, check_image):
        with pytest.raises(ImageError) as error:
            read(path)
        assert str(path) in str(error.value)
        for word in words:
            assert re.search(word, str(error.value)), str(error.value)


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp", ".tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_read_upright_and_the_header_agrees(tmp_path, extension, orientation):
    path, image = tmp_path / f"a{extension}", Image.fromarray(picture())
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(
        path,
        exif=exif,
        **({"quality": 95, "subsampling": 0} if extension in (".jpg", ".webp") else {}),
    )
    with Image.open(path) as stored:
        upright = np.asarray(ImageOps.exif_transpose(stored).convert("RGB")).astype(int)
    read = read_image(path)
    assert read.dtype == np.uint8
    assert read.flags.c_contiguous
    assert read.shape == upright.shape
    assert np.abs(read - upright).max() <= 4
    assert image_size(path) == read.shape[:2] == check_image(path)[:2]


def test_a_16_bit_tiff_with_an_orientation_is_read_upright(tmp_path):
    Image.fromarray(picture()[..., 0].astype(np.uint16) * 257).save(
        tmp_path / "a.tiff", tiffinfo={274: 6}
    )
    expected = np.rot90(picture()[..., 0], -1)
    assert (read_image(tmp_path / "a.tiff")[..., 0] == expected).all()
    assert image_size(tmp_path / "a.tiff") == expected.shape


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_grey_images_become_rgb(tmp_path, extension):
    grey = picture()[..., 0]
    cv2.imwrite(str(tmp_path / f"a{extension}"), grey, [cv2.IMWRITE_JPEG_QUALITY, 100])
    read = read_image(tmp_path / f"a{extension}")
    assert (read[..., 0] == read[..., 1]).all()
    assert (read[..., 0] == read[..., 2]).all()
    assert np.abs(read[..., 0].astype(int) - grey).max() <= 3


def test_palette_and_one_bit_images_become_their_colours(tmp_path):
    Image.fromarray(picture()).quantize(8).save(tmp_path / "a.png")
    assert np.abs(read_image(tmp_path / "a.png").astype(int) - picture()).max() <= 8
    Image.fromarray(np.eye(6, dtype=bool)).save(tmp_path / "b.png")
    assert (read_image(tmp_path / "b.png")[..., 1] == np.eye(6) * 255).all()


def test_alpha_is_dropped_and_the_colours_under_it_stay(tmp_path):
    alpha = RNG.integers(0, 256, (24, 40, 1), dtype=np.uint8)
    Image.fromarray(np.concatenate([picture(), alpha], -1)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == picture()).all()


@pytest.mark.parametrize("extension", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_are_scaled_to_8(tmp_path, extension, channels):
    deep = RNG.integers(0, 65536, (16, 20, 3), dtype=np.uint16)[..., :channels].squeeze()
    cv2.imwrite(str(tmp_path / f"a{extension}"), deep[..., ::-1] if channels == 3 else deep)
    read = read_image(tmp_path / f"a{extension}").astype(int)
    expected = np.rint(deep / 257).astype(int)
    assert np.abs(read - (expected if channels == 3 else expected[..., None])).max() == 0


def test_16_bits_that_would_come_out_almost_black_are_refused(tmp_path):
    dark = RNG.integers(0, 3990, (8, 9), dtype=np.uint16)
    dark[2, 3] = 3990
    cv2.imwrite(str(tmp_path / "a.png"), dark)
    refused(tmp_path / "a.png", "largest value is 3990 of 65535", "Convert it to 8 bits")


def test_cmyk_and_32_bit_images_are_refused(tmp_path):
    Image.fromarray(picture()).convert("CMYK").save(tmp_path / "a.jpg")
    refused(tmp_path / "a.jpg", "CMYK", "Convert it to RGB")
    Image.fromarray(np.ones((4, 5), np.float32)).save(tmp_path / "b.tiff")
    refused(tmp_path / "b.tiff", "mode 'F'")
    Image.fromarray(np.ones((4, 5), np.int32)).save(tmp_path / "c.tiff")
    refused(tmp_path / "c.tiff", "mode 'I'")
    with pytest.raises(ImageError, match="CMYK"):
        image_size(tmp_path / "a.jpg")


def test_a_file_of_several_pictures_is_refused(tmp_path):
    frames = [Image.fromarray(picture()), Image.fromarray(picture()[::-1])]
    frames[0].save(tmp_path / "a.tiff", save_all=True, append_images=frames[1:])
    refused(tmp_path / "a.tiff", "holds 2 pictures")


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RNG.integers(0, 255, (64, 96, 3), dtype=np.uint8)).save(buffer, "jpeg")
    return buffer.getvalue()


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RNG.integers(0, 255, (64, 96, 3), dtype=np.uint8)).save(buffer, "png")
    return buffer.getvalue()


@pytest.mark.parametrize("whole", [jpeg(), png()], ids=["jpeg", "png"])
def test_a_damaged_image_is_refused_and_nothing_is_printed(tmp_path, whole, capfd):
    path = tmp_path / "a.jpg"
    for content, words in (
        (b"", "0 bytes"),
        (b"no image at all", "not an image"),
        (whole[:30], "damaged"),
        (whole[: len(whole) // 2], "damaged"),
        (whole[: len(whole) * 9 // 10], "damaged"),
    ):
        path.write_bytes(content)
        refused(path, words)
    refused(tmp_path / "missing.jpg", "No such file")
    with pytest.raises(ImageError, match="No such file"):
        image_size(tmp_path / "missing.jpg")
    assert capfd.readouterr() == ("", "")


def test_a_cut_jpeg_is_refused_although_its_thumbnail_ends_well(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "x"
    buffer = io.BytesIO()
    Image.fromarray(RNG.integers(0, 255, (64, 96, 3), dtype=np.uint8)).save(
        buffer, "jpeg", exif=exif
    )
    data = buffer.getvalue()
    thumbnail = b"\xff\xe3" + (2 + len(jpeg())).to_bytes(2, "big") + jpeg()
    (tmp_path / "a.jpg").write_bytes(
        (data[:2] + thumbnail + data[2:])[: len(thumbnail) + len(data) // 2]
    )
    refused(tmp_path / "a.jpg", "damaged")


def test_a_cut_jpeg_is_not_left_to_opencv_which_may_fill_it_with_grey(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(jpeg()[:-300])
    monkeypatch.setattr(cv2, "imdecode", lambda *_, **__: np.full((64, 96, 3), 128, np.uint8))
    refused(tmp_path / "a.jpg", "damaged")


def test_large_images_are_read_without_a_word_and_giants_are_refused(tmp_path, monkeypatch):
    Image.fromarray(picture(40, 40)).save(tmp_path / "a.png")
    monkeypatch.setattr(
        Image, "MAX_IMAGE_PIXELS", 1000
    )  # from here on Pillow warns, from twice that on it refuses
    assert read_image(tmp_path / "a.png").shape == (40, 40, 3)
    monkeypatch.setenv("LABELGRID_MAX_PIXELS", "1599")
    refused(tmp_path / "a.png", "it has 40x40 pixels, more than the limit of 0.001599 million")


def test_a_jpeg_is_read_the_same_by_both_decoders(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg())
    with Image.open(tmp_path / "a.jpg") as stored:
        expected = np.asarray(stored.convert("RGB")).astype(int)
    assert np.abs(read_image(tmp_path / "a.jpg") - expected).max() <= 2


def rows_of_png(*rows: bytes, bits: int, colour: int, passes: int = 0, after: bytes = b"") -> bytes:
    head = struct.pack(">IIBBBBB", 2, 3, bits, colour, 0, 0, passes)
    chunks = [
        (b"IHDR", head),
        (b"IDAT", zlib.compress(b"".join(rows))),
        *([(b"tRNS", after)] if after else []),
    ]
    parts = [
        len(b).to_bytes(4) + k + b + zlib.crc32(k + b).to_bytes(4)
        for k, b in (*chunks, (b"IEND", b""))
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("colour", [0, 2, 4, 6])
def test_what_is_accepted_is_also_read(tmp_path: Path, bits: int, colour: int) -> None:
    size, path = 1 + 2 * {0: 1, 2: 3, 4: 2, 6: 4}[colour] * bits // 8, tmp_path / "a.png"
    row = b"\0" + bytes(range(0x20, 0x20 + size - 1))
    for last in (row, b"\4" + row[1:], b"\5" + row[1:], row[:-1]):
        for after in (b"", bytes(2), bytes(6)):
            path.write_bytes(rows_of_png(row, row, last, bits=bits, colour=colour, after=after))
            assert accepts(check_image, path) == accepts(read_image, path), (last, after)


def test_a_small_plain_png_is_checked_without_a_decoder_and_the_limit_of_pixels_holds(
    tmp_path, monkeypatch
):
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(path)
    with monkeypatch.context() as patch:
        patch.setattr("labelgrid.images.reading.SMALL", 10)
        with_decoder = check_image(path)
    with monkeypatch.context() as patch:
        patch.setattr(
            "labelgrid.images.reading.open_image",
            lambda *_, **__: pytest.fail("a decoder was started"),
        )
        assert check_image(path) == with_decoder
    monkeypatch.setenv("LABELGRID_MAX_PIXELS", "1199")
    refused(path, "it has 30x40 pixels")


def accepts(read: Callable[[Path], object], path: Path) -> bool:
    try:
        read(path)
    except ImageError:
        return False
    return True


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_with_one_bright_value_in_the_last_row_are_accepted(
    tmp_path, monkeypatch, channels
):
    monkeypatch.setattr("labelgrid.images.png._KEPT", 20)
    path, colour = tmp_path / "a.png", {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    dark = b"\0" + np.full((2, channels), 4095, ">u2").tobytes()
    for place in range(channels):
        pixels = np.full((2, channels), 4095, ">u2")
        pixels[1, place] = 4096
        path.write_bytes(rows_of_png(dark, dark, b"\0" + pixels.tobytes(), bits=16, colour=colour))
        if channels in (2, 4) and place == channels - 1:  # alpha, which is dropped
            refused(path, "its largest value is 4095 of 65535")
        else:
            assert check_image(path)[:2] == (3, 2) == read_image(path).shape[:2]


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_blocks": 3}],
    ids=str,
)
def test_a_jpeg_cut_anywhere_is_accepted_only_if_it_is_read(tmp_path, options):
    buffer, path = io.BytesIO(), tmp_path / "a.jpg"
    Image.fromarray(picture(33, 41)).save(buffer, "jpeg", **options)
    data = buffer.getvalue()
    for length in (*range(0, len(data) - 60, 17), *range(len(data) - 60, len(data) + 1)):
        path.write_bytes(data[:length])
        assert accepts(check_image, path) == accepts(read_image, path), length


def test_the_digest_is_the_ledgers(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg())
    assert check_image(tmp_path / "a.jpg") == (64, 96, digest(tmp_path / "a.jpg"))


def test_the_size_alone_reads_no_pixels(tmp_path):
    (tmp_path / "a.png").write_bytes(png()[:200])
    assert image_size(tmp_path / "a.png") == (64, 96)


@pytest.mark.parametrize("ending", [".heic", ".heif", ".avif"])
def test_pictures_of_phones_are_read_upright(tmp_path: Path, ending: str) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    path, ramp = tmp_path / f"a{ending}", np.linspace(0, 255, 48).astype(np.uint8)
    pixels = np.repeat(np.tile(ramp, (32, 1))[..., None], 3, -1)
    picture = Image.fromarray(pixels)
    exif = picture.getexif()
    exif[0x0112] = (
        6 if ending == ".avif" else 1
    )  # a HEIC holds its rotation elsewhere; its decoder applies it
    (picture if ending == ".avif" else picture.rotate(-90, expand=True)).save(
        path, exif=exif, quality=95
    )
    read, checked = read_image(path), check_image(path)
    assert read.shape == (48, 32, 3) and (checked.height, checked.width) == (48, 32) == image_size(
        path
    )
    assert np.abs(read[:, 16, 0].astype(int) - ramp).max() < 12
    assert list_images(tmp_path) == [path.name]
    data = path.read_bytes()
    for length in (20, len(data) // 2, len(data) - 4):
        path.write_bytes(data[:length])
        with pytest.raises(ImageError):
            read_image(path)
    path.with_suffix(".png").write_bytes(data)
    with pytest.raises(ImageError, match=r"its name ends in \.png, but its content is"):
        read_image(path.with_suffix(".png"))


def test_a_pipe_is_refused_and_the_hint_fits(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    for path, hint in (
        (tmp_path / "a.jpg", "Replace it by an image"),
        (tmp_path / "b.jpg", "Put it back; if the"),
    ):
        with pytest.raises(ImageError) as caught:
            check_image(path)
        assert caught.value.next_step.startswith(hint)
