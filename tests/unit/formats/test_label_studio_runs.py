"""Run lengths of Label Studio's brush: as its own code writes and reads them, and nothing else."""

from contextlib import suppress

import numpy as np
import pytest
from numpy.typing import NDArray

from labelgrid.basics.errors import LabelError
from labelgrid.formats.label_studio_runs import decode, encode

RNG = np.random.default_rng(0)


def bits_of(stream: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in stream)


def packed(bits: str) -> bytes:
    bits += "0" * (8 - len(bits) % 8)
    return bytes(int(bits[start : start + 8], 2) for start in range(0, len(bits), 8))


def header(values: int, sizes: tuple[int, ...] = (3, 4, 8, 16), value_bits: int = 8) -> str:
    return f"{values:032b}{value_bits - 1:05b}" + "".join(f"{size - 1:04b}" for size in sizes)


def slow_decode(stream: bytes) -> list[int]:
    """The values, bit by bit."""
    bits = bits_of(stream)
    position = 0

    def read(count: int) -> int:
        nonlocal position
        position += count
        return int(bits[position - count : position], 2)

    count, value_bits = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < count:
        is_same = read(1)
        length = read(sizes[read(2)]) + 1
        if is_same:
            values += [read(value_bits)] * length
        else:
            values += [read(value_bits) for _ in range(length)]
    return values


def slow_encode(mask: NDArray[np.bool_]) -> bytes:
    """The stream, run by run: the shortest size that holds a length."""
    values = [255 * int(pixel) for pixel in mask.ravel() for _ in range(4)]
    bits = header(len(values))
    start = 0
    while start < len(values):
        length = 1
        while values[start : start + length + 1] == [values[start]] * (length + 1):
            length += 1
            if length == 2**16:
                break
        index, size = next((i, s) for i, s in enumerate((3, 4, 8, 16)) if length <= 2**s)
        bits += f"1{index:02b}{length - 1:0{size}b}{values[start]:08b}"
        start += length
    return packed(bits)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (1, 3), (7, 5), (31, 17)])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_mask_is_written_as_the_slow_version_writes_it(
    size: tuple[int, int], share: float
) -> None:
    mask = RNG.random(size) < share
    stream = encode(mask)
    assert stream == slow_encode(mask)
    assert (np.array(slow_decode(stream)).reshape(*size, 4) == 255 * mask[..., None]).all()
    assert (decode(stream, size) == mask).all()


@pytest.mark.parametrize("size", [(3, 70_000), (300, 400)])
@pytest.mark.parametrize("share", [0.0, 0.00005, 0.5])
def test_long_runs_and_many_runs_come_back(size: tuple[int, int], share: float) -> None:
    mask = RNG.random(size) < share
    assert (decode(encode(mask), size) == mask).all()


@pytest.mark.parametrize("sizes", [(3, 4, 8, 16), (1, 16, 2, 7)])
def test_a_stream_of_any_runs_is_read_where_alpha_is_above_zero(sizes: tuple[int, ...]) -> None:
    """Runs of different values, of any length, that begin in any channel."""
    bits, count = "", 0
    while count % 4 or count < 1000:
        index = int(RNG.integers(4))
        length = int(RNG.integers(1, 2 ** min(sizes[index], 5) + 1))
        length = min(length, 4 - count % 4) if count >= 1000 else length
        is_same = bool(RNG.integers(2))
        bits += f"{is_same:d}{index:02b}{length - 1:0{sizes[index]}b}"
        for _ in range(1 if is_same else length):
            bits += f"{RNG.choice([0, 1, 200]):08b}"
        count += length
    stream = packed(header(count, sizes) + bits)
    alpha = np.array(slow_decode(stream)).reshape(1, -1, 4)[..., 3]
    assert (decode(stream, (1, count // 4)) == (alpha > 0)).all()


GOOD = encode(RNG.random((9, 11)) < 0.5)


@pytest.mark.parametrize(
    "stream",
    [b"", b"\0", GOOD[:4], GOOD[:30], GOOD[:-2], packed(header(2**32 - 1)), packed(header(4 * 98))],
)
def test_a_stream_that_is_cut_short_or_of_another_size_is_refused(stream: bytes) -> None:
    with pytest.raises(LabelError, match=r"run lengths|values"):
        decode(stream, (9, 11))


def test_a_last_value_that_is_cut_is_no_value() -> None:
    stream = encode(np.ones((1, 1), np.bool_))
    assert decode(stream, (1, 1)).all()
    with pytest.raises(LabelError, match="cut short"):
        decode(stream[:8], (1, 1))


def test_values_of_other_bits_and_runs_beyond_the_end_are_refused() -> None:
    with pytest.raises(LabelError, match="of 4 bits"):
        decode(packed(header(4, value_bits=4) + "1" * 20), (1, 1))
    with pytest.raises(LabelError, match="damaged"):
        decode(packed(header(4) + "100" + "111" + "1" * 8), (1, 1))


def test_any_bytes_are_a_mask_or_refused() -> None:
    for _ in range(300):
        stream = bytearray(GOOD)
        for place in RNG.integers(7, len(stream), 3):
            stream[place] = RNG.integers(256)
        with suppress(LabelError):
            assert decode(bytes(stream), (9, 11)).shape == (9, 11)
