"""Keeps the maps of frozen encoders in files, so that an image is encoded once."""

import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import safetensors
from safetensors.torch import load, save
from torch import Tensor

from labelgrid.basics.files import atomic_write

#: Bytes of the checksum at the start of a file.
SUM = 4
#: The letters of a key that name the folder of its file.
LETTERS = 2


@dataclass
class KeptMaps:
    """The maps of images in half precision, by what the encoder computed them from.

    Several processes may use one folder. A damaged file counts as missing. Where the disk is full,
    or the folder holds about `limit` bytes, further maps are not kept; the folder can be removed at
    any time.

    Args:
        folder: the folder of the files.
        limit: the most bytes of all files, of any encoder, that a process found and wrote; headers
            of files do not count.

    Example:
        >>> import tempfile
        >>> import torch
        >>> kept = KeptMaps(Path(tempfile.mkdtemp()), limit=2**20)
        >>> kept.read("ab12")
        >>> kept.write("ab12", [torch.tensor([0.5])])
        >>> kept.read("ab12")
        [tensor([0.5000], dtype=torch.float16)]
    """

    folder: Path
    limit: int
    _size: int | None = field(default=None, init=False)

    def read(self, key: str) -> list[Tensor] | None:
        """The maps under a key; None if there are none."""
        try:
            content = self._path(key).read_bytes()
        except OSError:
            return None
        tensors_bytes = content[SUM:]
        if zlib.crc32(tensors_bytes).to_bytes(SUM) != content[:SUM]:
            return None
        try:
            tensors = load(tensors_bytes)
        except safetensors.SafetensorError:
            return None
        return [tensors[str(number)] for number in range(len(tensors))]

    def write(self, key: str, maps: Sequence[Tensor]) -> None:
        """Keep maps under a key, unless the limit is reached or the disk refuses."""
        if self.size + sum(2 * part.numel() for part in maps) > self.limit:
            return
        tensors = {}
        for number, part in enumerate(maps):
            tensors[str(number)] = part.cpu().half().contiguous()
        content = save(tensors)
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path, within=self.folder) as partial:
                partial.write_bytes(zlib.crc32(content).to_bytes(SUM) + content)
        except OSError:
            self._size = self.limit  # the disk is full, or belongs to somebody else
            return
        self._size = self.size + len(content) + SUM

    @property
    def size(self) -> int:
        """The bytes of all files, as this process found and wrote them."""
        if self._size is None:
            self._size = sum(_sizes(self.folder))
        return self._size

    def _path(self, key: str) -> Path:
        return self.folder / key[:LETTERS] / key


def _sizes(folder: Path) -> Iterator[int]:
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # another process has renamed it
                yield Path(parent, name).stat().st_size
