"""Measures run lengths of Label Studio's brush on noise: the mask to bytes and back, against label-studio-sdk's code.

Noise is the worst case: about two million runs. Without label-studio-sdk, the other side is the
same work in plain Python, below. Both sides give the same bytes and the same mask.
"""

import argparse
import sys
from collections.abc import Callable
from itertools import groupby

import numpy as np
from _measure import check_limit, interleaved, machine, show
from numpy.typing import NDArray

from labelgrid.formats import label_studio_runs

BAR = 10.0
Mask = NDArray[np.bool_]
Encode = Callable[[Mask], list[int]]
Decode = Callable[[list[int], tuple[int, int]], Mask]
CODES = ((8, "100", 3), (16, "101", 4), (256, "110", 8), (65536, "111", 16))


def plain_encode(mask: Mask) -> list[int]:
    """Run by run, as text of bits."""
    parts = [f"{4 * mask.size:032b}00111", "0010001101111111"]
    for value, group in groupby(mask.ravel().tolist()):
        length = 4 * sum(1 for _ in group)
        while length:
            piece = min(length, 65536)
            head, size = next((head, size) for most, head, size in CODES if piece <= most)
            parts.append(f"{head}{piece - 1:0{size}b}{255 * value:08b}")
            length -= piece
    bits = "".join(parts)
    bits += "0" * (8 - len(bits) % 8)
    return list(int(bits, 2).to_bytes(len(bits) // 8, "big"))


class Reader:
    """Reads numbers of some bits, one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data = data + bytes(8)
        self.position = 0

    def read(self, bits: int) -> int:
        """The next number."""
        byte, behind = divmod(self.position, 8)
        self.position += bits
        window = int.from_bytes(self.data[byte : byte + 5], "big")
        return window >> (40 - behind - bits) & ((1 << bits) - 1)


def plain_decode(stream: list[int], size: tuple[int, int]) -> Mask:
    """Run by run."""
    reader = Reader(bytes(stream))
    values = np.zeros(reader.read(32), np.uint8)
    word = reader.read(5) + 1
    sizes = [reader.read(4) + 1 for _ in range(4)]
    done = 0
    while done < len(values):
        is_same = reader.read(1)
        end = done + reader.read(sizes[reader.read(2)]) + 1
        while done < end:
            upto = end if is_same else done + 1
            values[done:upto] = reader.read(word)
            done = upto
    return values.reshape(*size, 4)[..., 3] > 0


def peer() -> tuple[str, Encode, Decode]:
    """The other side."""
    try:
        from label_studio_sdk.converter import brush  # type: ignore[import-not-found]
    except ImportError:
        return "plain Python", plain_encode, plain_decode

    def encode(mask: Mask) -> list[int]:
        stream: list[int] = brush.mask2rle(mask.astype(np.uint8) * 255)
        return stream

    def decode(stream: list[int], size: tuple[int, int]) -> Mask:
        values: NDArray[np.uint8] = brush.decode_rle(stream)
        return values.reshape(*size, 4)[..., 3] > 0

    return "label-studio-sdk", encode, decode


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, nargs=2, default=(2048, 2048))
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(words)
    size = tuple(options.size)
    mask = np.random.default_rng(0).random(size) < 0.5
    stream = list(label_studio_runs.encode(mask))
    print(machine())
    print(f"{size[0]}x{size[1]} pixels of noise, {len(stream):,} bytes")
    name, encode, decode = peer()
    assert encode(mask) == stream and (decode(stream, size) == mask).all()
    sides = {
        "ours, encode": lambda: list(label_studio_runs.encode(mask)),
        "ours, decode": lambda: label_studio_runs.decode(bytes(stream), size),
        f"{name}, encode": lambda: encode(mask),
        f"{name}, decode": lambda: decode(stream, size),
    }
    times = interleaved(sides, options.repeats)
    show(times)
    holds = True
    for work in ("encode", "decode"):
        ratio = times[f"{name}, {work}"].work_over(times[f"ours, {work}"])
        holds &= check_limit(f"{name} / ours, {work}", ratio, BAR, least=True)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
