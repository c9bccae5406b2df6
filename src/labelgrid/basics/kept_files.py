"""Keeps bytes in files by keys."""

import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from labelgrid.basics.files import atomic_write

#: Bytes of the checksum at the start of a file.
SUM = 4
#: The letters of a key that name the folder of its file.
LETTERS = 2


@dataclass
class KeptFiles:
    """Bytes by keys, in a folder that can be removed at any time.

    Several processes may use one folder. A damaged file counts as missing. Where the disk is full,
    or the folder holds about `limit` bytes, no more is kept.

    Args:
        folder: the folder of the files.
        limit: the most bytes of all files, whoever keeps them, that a process found and wrote.

    Example:
        >>> import tempfile
        >>> kept = KeptFiles(Path(tempfile.mkdtemp()), limit=100)
        >>> kept.write_bytes("ab12", b"maps")
        >>> kept.read_bytes("ab12"), kept.read_bytes("cd34")
        (b'maps', None)
    """

    folder: Path
    limit: int
    _size: int | None = field(default=None, init=False)

    def read_bytes(self, key: str) -> bytes | None:
        """The bytes under a key; None if there are none."""
        try:
            content = self._path(key).read_bytes()
        except OSError:
            return None
        kept = content[SUM:]
        if zlib.crc32(kept).to_bytes(SUM) != content[:SUM]:
            return None
        return kept

    def has_room(self, size: int) -> bool:
        """Whether so many more bytes are kept."""
        return self.size + size <= self.limit

    def write_bytes(self, key: str, content: bytes) -> None:
        """Keep bytes under a key, unless the limit is reached or the disk refuses."""
        if not self.has_room(len(content)):
            return
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
