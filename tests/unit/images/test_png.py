"""Laws of checked PNGs: any damage is found, and what is sound comes back pixel for pixel."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from labelgrid.basics.errors import LabelError
from labelgrid.formats.arrays import samples
from labelgrid.formats.codecs import classes, depth
from labelgrid.images import png
from labelgrid.images.png import (
    SIGNATURE,
    check_png,
    first_rows,
    frames_of,
    header_of,
    outline,
    plain_size,
)

RNG = np.random.default_rng(0)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(height: int, width: int, bits: int, colour: int, interlaced: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced))


def grey(stream: bytes | None = None, more: bytes = b"", end: bytes = chunk(b"IEND", b"")) -> bytes:
    """A grey 8-bit PNG of 2x3 pixels with this stream of pixels and chunks after it."""
    pixels = zlib.compress(b"\0\1\2\3\0\4\5\6") if stream is None else stream
    return SIGNATURE + header(2, 3, 8, 0) + chunk(b"IDAT", pixels) + more + end


def depth_map(height: int = 120, width: int = 160) -> np.ndarray:
    """A 16-bit map as a sensor gives it: smooth surfaces and noise, in millimetres."""
    smooth = cv2.resize(
        RNG.random((5, 6)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    return (1000 + 5000 * smooth.clip(0, 1) + RNG.normal(0, 5, smooth.shape)).astype(np.uint16)


def encoded(array: np.ndarray) -> bytes:
    return cv2.imencode(".png", array)[1].tobytes()


def interlaced(array: np.ndarray) -> bytes:
    """An 8-bit grey PNG in seven passes (Adam7)."""
    starts = (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    )
    parts = [array[y::dy, x::dx] for x, y, dx, dy in starts]
    rows = b"".join(b"\0" + row.tobytes() for part in parts if part.size for row in part)
    return (
        SIGNATURE
        + header(*array.shape, 8, 0, 1)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def saved(mode: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = (
        Image.fromarray(RNG.integers(0, 256, (21, 33, 4), dtype=np.uint8))
        .convert("RGB")
        .convert(mode)
    )
    image.save(buffer, "png", **options)
    return buffer.getvalue()


SOUND = {
    "16-bit grey": encoded(depth_map()),
    "16-bit colours": encoded(RNG.integers(0, 2**16, (9, 7, 3), dtype=np.uint16)),
    "1 bit": saved("1"),
    "grey": saved("L"),
    "grey and alpha": saved("LA"),
    "palette": saved("P", transparency=3),
    "palette of 2 bits": saved("P", bits=2),
    "alpha": saved("RGBA"),
    "large": encoded(RNG.integers(0, 256, (300, 401, 3), dtype=np.uint8)),
    "interlaced": interlaced(RNG.integers(0, 256, (19, 13), dtype=np.uint8)),
    "interlaced, a single pixel": interlaced(np.full((1, 1), 7, np.uint8)),
    "text after the pixels": grey(more=chunk(b"tEXt", b"who\0me")),
    "bytes after the end of the pixels": grey(zlib.compress(b"\0\1\2\3\0\4\5\6") + bytes(40_000)),
    "bytes after the end": grey() + b"anything",
    "pixels in two chunks": SIGNATURE
    + header(2, 3, 8, 0)
    + chunk(b"IDAT", zlib.compress(b"\0\1\2\3\0\4\5\6")[:9])
    + chunk(b"IDAT", zlib.compress(b"\0\1\2\3\0\4\5\6")[9:])
    + chunk(b"IEND", b""),
}


@pytest.mark.parametrize("data", SOUND.values(), ids=SOUND)
def test_a_sound_png_comes_back_with_its_pixels(data: bytes) -> None:
    result = check_png(data)
    for one, other in ((data, result), (result, check_png(result))):
        with Image.open(io.BytesIO(one)) as old, Image.open(io.BytesIO(other)) as new:
            assert (old.mode, old.getpalette(), old.info.get("transparency")) == (
                new.mode,
                new.getpalette(),
                new.info.get("transparency"),
            )
            np.testing.assert_array_equal(np.asarray(old), np.asarray(new))
        flags = (
            cv2.imdecode(np.frombuffer(each, np.uint8), cv2.IMREAD_UNCHANGED)
            for each in (one, other)
        )
        np.testing.assert_array_equal(*flags)


def outlined(data: bytes) -> bytes:
    return outline(io.BytesIO(data))


CHECKS = pytest.mark.parametrize("checked", [check_png, outlined])


@CHECKS
def test_any_flipped_bit_up_to_the_end_is_found(checked: Callable[[bytes], bytes]) -> None:
    data = encoded(depth_map(6, 8))
    for place in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(ValueError, match=r"it|the"):
            checked(bytes(damaged))


@CHECKS
def test_any_cut_is_found(checked: Callable[[bytes], bytes]) -> None:
    data = encoded(depth_map(6, 8))
    for length in range(len(data)):
        with pytest.raises(ValueError, match=r"it|the"):
            checked(data[:length])


ROWS = b"\0\1\2\3\0\4\5\6"
WRONG = {
    "no end": (grey(end=b""), "its end is missing"),
    "no pixels": (SIGNATURE + header(2, 3, 8, 0) + chunk(b"IEND", b""), "its pixels are missing"),
    "pixels in two places": (
        grey(more=chunk(b"tEXt", b"a\0b") + chunk(b"IDAT", zlib.compress(ROWS))),
        "its pixels are in several places",
    ),
    "a wrong sum of the pixels": (
        grey(zlib.compress(ROWS)[:-1] + b"\0"),
        "the checksum or the coding",
    ),
    "no sum of the pixels": (grey(zlib.compress(ROWS)[:-4]), "its pixels are cut short"),
    "a row too few": (grey(zlib.compress(ROWS[:4])), "fewer pixels than its header says"),
    "a row too many": (grey(zlib.compress(ROWS + ROWS[:4])), "more pixels than its header says"),
    "a giant behind a small header": (
        grey(zlib.compress(bytes(50_000_000))),
        "more pixels than its header says",
    ),
    "no header": (SIGNATURE + chunk(b"IEND", b""), "its header is missing"),
    "a wrong type of colour": (SIGNATURE + header(2, 3, 8, 5) + grey()[33:], "its header is wrong"),
    "a text": (b"hello", "it is not a PNG"),
}


@CHECKS
@pytest.mark.parametrize(("data", "fault"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said(checked: Callable[[bytes], bytes], data: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        checked(data)


@pytest.mark.parametrize("data", SOUND.values(), ids=SOUND)
def test_the_outline_of_a_sound_png_is_one_of_few_pixels(data: bytes) -> None:
    old, new = header_of(data), header_of(outlined(data))
    assert (old.bits, old.colour, old.interlaced) == (new.bits, new.colour, new.interlaced)
    with Image.open(io.BytesIO(data)) as whole, Image.open(io.BytesIO(outlined(data))) as small:
        assert (whole.mode, whole.getpalette()) == (small.mode, small.getpalette())
        first = np.asarray(whole)[: new.height, : new.width]
        assert small.size == (1, 1) or (np.asarray(small) == first).all()


def test_the_outline_of_16_bits_has_the_first_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = depth_map(30, 40)
    monkeypatch.setattr(png, "_KEPT", 7 * (1 + 2 * 40) + 5)
    found = cv2.imdecode(np.frombuffer(outlined(encoded(pixels)), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(found, pixels[:7])


@pytest.mark.parametrize(
    "data", [interlaced(np.full((19, 13), 9, np.uint8)), grey()], ids=["interlaced", "grey"]
)
def test_an_unknown_filter_of_any_row_is_found(data: bytes) -> None:
    start = data.index(b"IDAT")
    size = int.from_bytes(data[start - 4 : start])
    stream = zlib.decompress(data[start + 4 : start + 4 + size])
    for place in [place for place, value in enumerate(stream) if value == 0]:
        wrong = stream[:place] + b"\5" + stream[place + 1 :]
        with pytest.raises(ValueError, match="the coding of its pixels is wrong"):
            outlined(data[: start - 4] + chunk(b"IDAT", zlib.compress(wrong)) + chunk(b"IEND", b""))


@pytest.mark.parametrize("kind", [b"IHDR", b"acTL", b"fcTL", b"fdAT"])
def test_what_depends_on_the_size_has_no_outline(kind: bytes) -> None:
    assert outlined(grey(more=chunk(kind, bytes(13)))) == b""


PLAIN = encoded(RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8))
RESOLUTION = chunk(b"pHYs", bytes(8) + b"\1")


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (PLAIN, (6, 8)),
        (encoded(RNG.integers(0, 256, (6, 8, 4), dtype=np.uint8)), (6, 8)),
        (grey(), (2, 3)),
        (saved("LA"), (21, 33)),
        (
            grey(more=RESOLUTION) + b"anything",
            None,
        ),  # a decoder would read the part after the pixels
        (PLAIN[:33] + RESOLUTION + PLAIN[33:] + b"anything", (6, 8)),
        (PLAIN[:33] + RESOLUTION + RESOLUTION + PLAIN[33:], None),
        (PLAIN[:33] + chunk(b"pHYs", bytes(8)) + PLAIN[33:], None),
        (PLAIN[:33] + chunk(b"eXIf", b"MM\0*") + PLAIN[33:], None),
        (PLAIN[:33] + chunk(b"acTL", bytes(8)) + PLAIN[33:], None),
        (PLAIN[:33] + chunk(b"tRNS", bytes(6)) + PLAIN[33:], None),
        (PLAIN[:33] + PLAIN[8:33] + PLAIN[33:], None),
        (PLAIN[:33] + chunk(b"IEND", b""), None),
        (SOUND["palette"], None),
        (SOUND["interlaced"], None),
        (SOUND["16-bit grey"], None),
        (grey(zlib.compress(b"\0\1\2\3\5\4\5\6")), None),
        (
            SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 1, 0)) + grey()[33:],
            None,
        ),
        *((data, None) for data, _ in WRONG.values()),
    ],
)
def test_only_an_undamaged_file_of_plain_parts_is_plain(
    data: bytes, size: tuple[int, int] | None
) -> None:
    assert plain_size(data) == size


def test_no_flipped_bit_and_no_cut_leaves_a_file_plain() -> None:
    for place in range(8 * len(PLAIN)):
        damaged = bytearray(PLAIN)
        damaged[place // 8] ^= 1 << place % 8
        assert plain_size(bytes(damaged)) is None
    assert not any(plain_size(PLAIN[:length]) for length in range(len(PLAIN)))


def test_the_header_is_read_from_the_first_bytes() -> None:
    found = header_of(encoded(depth_map(30, 40))[:33])
    assert (found.height, found.width, found.bits, found.colour, found.interlaced) == (
        30,
        40,
        16,
        0,
        False,
    )


@CHECKS
def test_bytes_after_the_end_of_the_pixels_are_not_uncompressed(
    monkeypatch: pytest.MonkeyPatch, checked: Callable[[bytes], bytes]
) -> None:
    fed: list[int] = []

    class Inflater:
        def __init__(self) -> None:
            self.real = zlib.decompressobj()

        def __getattr__(self, name: str) -> object:
            return getattr(self.real, name)

        def decompress(self, data: bytes, limit: int) -> bytes:
            fed.append(len(data))
            return self.real.decompress(data, limit)

    monkeypatch.setattr(png, "zlib", SimpleNamespace(**vars(zlib) | {"decompressobj": Inflater}))
    stream = zlib.compress(ROWS)
    assert checked(grey(stream + bytes(1_000_000))) == checked(grey(stream))
    assert sum(fed) <= 2 * png._PIECE


def flipped_and_refused(data: bytes, path: Path, count: int) -> int:
    """How many single flipped bits of a depth map's file are refused.

    The others must leave the values unchanged.
    """
    path.write_bytes(data)
    before, refused = depth.read(path, depth.Options(scale=0.001)), 0
    for place in np.random.default_rng(1).choice(8 * len(data), count, replace=False).tolist():
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            label = depth.read(path, depth.Options(scale=0.001))
        except LabelError:
            refused += 1
        else:
            np.testing.assert_array_equal(label.value, before.value)
    return refused


def zeroed_and_refused(data: bytes, path: Path, names: int, count: int) -> int:
    """How many of a segmentation's files with 512 zeroed bytes are refused."""
    refused, options = 0, classes.Options(tuple(map(str, range(names))))
    for start in np.random.default_rng(2).integers(0, max(1, len(data) - 512), count).tolist():
        path.write_bytes(data[:start] + bytes(512) + data[start + 512 :])
        try:
            classes.read(path, options)
        except LabelError:
            refused += 1
    return refused


def test_damaged_labels_are_refused(tmp_path: Path) -> None:
    assert flipped_and_refused(encoded(depth_map()), tmp_path / "a.png", 400) == 400
    segments = encoded((RNG.random((120, 160)) * 40).astype(np.uint8))
    assert zeroed_and_refused(segments, tmp_path / "b.png", 41, 150) == 150


@pytest.mark.nyuv2
def test_damaged_real_labels_are_refused(nyuv2: Path, tmp_path: Path) -> None:
    real = sorted((nyuv2 / "depth").glob("*.png"))[7].read_bytes()
    assert real[24] == 16 and flipped_and_refused(real, tmp_path / "a.png", 400) == 400
    files = sorted((nyuv2 / "segmentation").glob("*.png"))[:150]
    assert (
        sum(zeroed_and_refused(path.read_bytes(), tmp_path / "b.png", 41, 1) for path in files)
        == 150
    )


@pytest.mark.nyuv2
def test_real_labels_are_read_as_before(nyuv2: Path) -> None:
    for folder in ("depth", "segmentation", "normals", "edge"):
        for path in sorted((nyuv2 / folder).glob("*.png"))[::40]:
            with (
                Image.open(path) as old,
                Image.open(io.BytesIO(check_png(path.read_bytes()))) as new,
            ):
                np.testing.assert_array_equal(np.asarray(old), np.asarray(new))


def test_the_first_rows_of_the_first_bytes_are_a_sound_png() -> None:
    pixels = RNG.integers(0, 255, (50, 40), np.uint8)
    data = cv2.imencode(".png", pixels)[1].tobytes()
    for size in (len(data), len(data) // 2):
        sound = check_png(first_rows(data[:size]))
        rows = cv2.imdecode(np.frombuffer(sound, np.uint8), cv2.IMREAD_UNCHANGED)
        assert len(rows) >= 50 * size // len(data) - 2
        assert np.array_equal(rows, pixels[: len(rows)])


def test_the_first_rows_are_few_however_many_the_stream_holds() -> None:
    stream = zlib.compress(bytes(101 * 900_000))
    bomb = SIGNATURE + header(900_000, 100, 8, 0) + chunk(b"IDAT", stream)
    assert header_of(first_rows(bomb)).height == 2**16 // 101


def test_without_a_whole_row_or_in_several_passes_there_are_no_first_rows() -> None:
    sound = grey()
    assert first_rows(sound[: sound.index(b"IDAT") + 6]) == b""
    assert first_rows(SIGNATURE + header(2, 3, 8, 0, 1) + sound[33:]) == b""
    with pytest.raises(ValueError, match="the coding of its pixels"):
        first_rows(grey(b"no stream"))


def test_indices_without_a_palette_are_refused(tmp_path: Path) -> None:
    data = saved("P")
    start = data.index(b"PLTE") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4])
    for check in (check_png, lambda content: outline(io.BytesIO(content))):
        check(data)
        with pytest.raises(ValueError, match="palette is missing"):
            check(data[:start] + data[end:])


def test_a_transparent_colour_is_no_channel_and_an_animation_no_label(tmp_path: Path) -> None:
    pixels = np.arange(18, dtype=np.uint16).reshape(2, 3, 3) * 999
    data = cv2.imencode(".png", pixels[..., ::-1])[1].tobytes()
    path = tmp_path / "a.png"
    path.write_bytes(data[:33] + chunk(b"tRNS", bytes(6)) + data[33:])
    assert (samples(path) == pixels).all()
    frames = chunk(b"acTL", struct.pack(">II", 2, 0))
    path.write_bytes(data[:33] + frames + data[33:])
    with pytest.raises(LabelError, match="2 pages"):
        samples(path)


def test_pictures_of_an_animation_are_counted_before_the_end_alone() -> None:
    frames = chunk(b"acTL", struct.pack(">II", 3, 0))
    assert frames_of(PLAIN) == frames_of(PLAIN + frames) == 1
    assert frames_of(PLAIN[:33] + frames + PLAIN[33:]) == 3
    assert frames_of(PLAIN[:33] + chunk(b"tEXt", b"a\0acTL") + PLAIN[33:]) == 1
