"""Reads and writes the run lengths of Label Studio's brush.

They are a stream of bits over the red, green, blue and alpha of each pixel, along the rows: 32 bits
for the number of values, 5 for the bits of a value less one, four times 4 for the bits of a run
length less one; then the runs. A run has 1 bit that says whether all its values are equal, 2 bits
that choose one of four sizes, its length minus one in as many bits, and then its single value or
all values. Label Studio takes this from thi.ng/rle-pack.
"""

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Bools, Ints
from labelgrid.basics.errors import LabelError
from labelgrid.basics.type_names import Size

_CHANNELS = 4
_VALUE_BITS = 8
#: The bits of the header, and those of a run before its length.
_HEADER = 53
_HEAD = 3
#: The sizes of run lengths that are written, in bits.
_SIZES = np.array([3, 4, 8, 16])
#: How many bytes of a stream are looked at together.
_BLOCK = 2**16


def encode(mask: Bools) -> bytes:
    """The stream of a mask [h, w]: 255 in all channels where it is set, else 0.

    Its bytes are the numbers of label-studio-sdk's `mask2rle`.

    Example:
        >>> list(encode(np.array([[False, True]])))
        [0, 0, 0, 8, 57, 27, 252, 96, 17, 255, 128]
    """
    flat = mask.ravel()
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]) + 1, flat.size)
    lengths = np.diff(ends, prepend=0)
    is_set = (np.arange(len(lengths)) + flat[0]) % 2 == 1
    most = len(_CODES) - 1
    if lengths.max() > most:
        pieces = -(-lengths // most)
        is_set = np.repeat(is_set, pieces)
        last = lengths - (pieces - 1) * most
        lengths = np.full(len(is_set), most)
        lengths[np.cumsum(pieces) - 1] = last
    codes = _CODES[lengths]
    codes += np.where(is_set, np.uint64(255), np.uint64(0))
    header = [flat.size * _CHANNELS, _VALUE_BITS - 1, *(_SIZES - 1)]
    codes = np.concatenate([np.array(header, np.uint64), codes])
    return _packed(codes, np.concatenate([[32, 5, 4, 4, 4, 4], _CODE_BITS[lengths]]))


def _codes() -> tuple[NDArray[np.uint64], Ints]:
    """The bits of a run of value 0, and the number of bits, by the number of pixels."""
    most = 1 << int(_SIZES[-1])
    counts = np.arange(0, most + 1, _CHANNELS)
    choice = np.searchsorted(1 << _SIZES, counts)
    sizes = _SIZES[choice]
    codes = ((_CHANNELS + choice << sizes) + counts - 1) << _VALUE_BITS
    return codes.astype(np.uint64), _HEAD + sizes + _VALUE_BITS


_CODES, _CODE_BITS = _codes()


def _packed(codes: NDArray[np.uint64], bits: Ints) -> bytes:
    """Numbers of at most 32 bits without gaps, and at least one bit behind the last."""
    ends = np.cumsum(bits)
    words = (ends - bits) >> 5
    # Each number is in the word of 32 bits where it starts, and in the next one.
    codes <<= (64 - ends + (words << 5)).astype(np.uint64)
    count = int(words[-1]) + 2
    packed = np.bincount(words, codes >> np.uint64(32), count)
    packed[1:] += np.bincount(words, codes & np.uint64(0xFFFFFFFF), count)[:-1]
    return packed.astype(">u4").tobytes()[: int(ends[-1]) // 8 + 1]


def decode(stream: bytes, size: Size) -> Bools:
    """The mask [h, w] of the bytes of a region: where its alpha is above 0.

    Raises:
        LabelError: the stream is cut short, or is of another size.

    Example:
        >>> decode(bytes([0, 0, 0, 8, 57, 27, 252, 96, 17, 255, 128]), (1, 2)).tolist()
        [[False, True]]
    """
    header = int.from_bytes(stream[:7].ljust(7, b"\0")) >> (7 * 8 - _HEADER)
    values = header >> 21
    value_bits = (header >> 16 & 31) + 1
    height, width = size
    if values != height * width * _CHANNELS or value_bits != _VALUE_BITS:
        raise LabelError(
            f"The run lengths hold {values} values of {value_bits} bits; an image of "
            f"{height}x{width} (height x width) has {height * width * _CHANNELS} of 8 bits."
        )
    sizes = np.array([(header >> shift & 15) + 1 for shift in (12, 8, 4, 0)], np.uint32)
    bits = _Bits(stream, np.tile(sizes, 2))
    starts = bits.starts()
    kinds, lengths = bits.runs(starts)
    ends = np.cumsum(lengths)
    count = int(np.searchsorted(ends, values)) + 1
    runs = slice(count)
    is_whole = count <= len(ends) and ends[count - 1] == values
    if not is_whole or starts[count - 1] + bits.step(int(starts[count - 1])) > 8 * len(stream):
        raise LabelError("The run lengths are damaged or cut short.")
    begins = (ends - lengths)[runs]
    alphas = ends[runs] // _CHANNELS - begins // _CHANNELS
    is_same = kinds[runs] >= _CHANNELS
    firsts = starts[runs] + _HEAD + sizes[kinds[runs] & 3]
    mask = np.repeat(is_same & (bits.values(firsts) > 0), alphas)
    if not is_same.all():
        pixels = np.flatnonzero(np.repeat(~is_same, alphas))
        run = np.repeat(np.flatnonzero(~is_same), alphas[~is_same])
        index = _CHANNELS * pixels + _CHANNELS - 1 - begins[run]
        mask[pixels] = bits.values(firsts[run] + _VALUE_BITS * index) > 0
    return mask.reshape(size)


class _Bits:
    """A stream of bits.

    Args:
        stream: its bytes.
        sizes: the bits of a run length, by the three bits before it.
    """

    def __init__(self, stream: bytes, sizes: NDArray[np.uint32]) -> None:
        padded = np.frombuffer(stream + bytes(8), np.uint8)
        words = np.zeros(len(stream) + 4, np.uint32)
        for byte in range(4):
            words = words << np.uint32(8) | padded[byte : len(words) + byte]
        #: The 32 bits from each byte on.
        self._words = words
        self._sizes = sizes
        self._padded = padded
        self._bytes = len(stream)

    def starts(self) -> Ints:
        """The starts of runs, from the first to the end of the stream.

        For each bit of a block is known how long a run of equal values would be that starts there;
        then only the sum from run to run is taken one by one. Other runs are rare.
        """
        steps = bytearray()
        others = []
        position = _HEADER
        for first in range(0, self._bytes, _BLOCK):
            table = self._steps_of_equal(first)
            base = 8 * first
            position -= base
            while position < len(table):
                step = table[position]
                steps.append(step)
                if not step:
                    step = self.step(position + base)
                    others.append(step)
                position += step
            position += base
        lengths = np.frombuffer(steps, np.uint8).astype(np.int64)
        lengths[lengths == 0] = others
        return np.cumsum(lengths) - lengths + _HEADER

    def _steps_of_equal(self, first: int) -> bytes:
        """The bits of a run of equal values from each bit of a block on; 0 for other runs."""
        last = min(first + _BLOCK, self._bytes)
        bits = np.unpackbits(self._padded[first : last + 1])
        kinds = bits[:-8] << 2 | bits[1:-7] << 1 | bits[2:-6]
        steps = bytes([0] * _CHANNELS + (_HEAD + _VALUE_BITS + self._sizes[_CHANNELS:]).tolist())
        return kinds.tobytes().translate(steps.ljust(256, b"\0"))

    def step(self, start: int) -> int:
        window = int(self._words[start >> 3]) << (start & 7) & 0xFFFFFFFF
        kind = window >> 32 - _HEAD
        size = int(self._sizes[kind])
        length = (window << _HEAD & 0xFFFFFFFF) >> 32 - size
        return _HEAD + size + _VALUE_BITS * (1 if kind >= _CHANNELS else length + 1)

    def runs(self, starts: Ints) -> tuple[NDArray[np.uint32], Ints]:
        window = self._window(starts)
        kinds = window >> np.uint32(32 - _HEAD)
        lengths = (window << np.uint32(_HEAD)) >> (np.uint32(32) - self._sizes[kinds])
        return kinds, lengths.astype(np.int64) + 1

    def values(self, positions: Ints) -> NDArray[np.uint32]:
        return self._window(positions) >> np.uint32(32 - _VALUE_BITS)

    def _window(self, positions: Ints) -> NDArray[np.uint32]:
        """The bits from a position on, at least 25 of them; 0 behind the end."""
        indices = np.minimum(positions >> 3, len(self._words) - 1)
        return self._words[indices] << (positions & 7).astype(np.uint32)
