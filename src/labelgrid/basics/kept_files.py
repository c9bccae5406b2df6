"""Keeps bytes in files by keys."""

import os
import time
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
#: The seconds after which a file that is read again counts as used anew, and those after which an
#: unused one is removed if there is no room.
ANEW = 3600.0
UNUSED = 24 * 3600.0
#: The moment when this process began.
BEGAN = time.time()
#: The share of the limit that is left when files are removed.
LEFT = 0.9


@dataclass
class KeptFiles:
    """Bytes by keys, in a folder that can be removed at any time.

    Several processes may use one folder. A damaged file counts as missing. Where the folder holds
    about `limit` bytes, files that were not used for a day are removed, the longest unused first;
    if all were, or the disk is full, no more is kept for an hour.

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
    #: When no file could make room, by `often`.
    _in_vain: dict[bool, float] = field(default_factory=dict, init=False)

    def read_bytes(self, key: str) -> bytes | None:
        """The bytes under a key; None if there are none."""
        try:
            with self._path(key).open("rb") as file:
                content = file.read()
                _note_use(file.fileno())
        except OSError:
            return None
        kept = content[SUM:]
        if zlib.crc32(kept).to_bytes(SUM) != content[:SUM]:
            return None
        return kept

    def has_room(self, size: int, *, often: bool = False) -> bool:
        """Whether so many more bytes are kept, if need be in place of unused ones.

        Args:
            size: their number.
            often: whether they are read again and again: then all that this process has not used
                may make room.
        """
        tried = time.time() - self._in_vain.get(often, 0.0) < ANEW
        if self.size + size > self.limit >= size and not tried:
            self._remove_unused(BEGAN - ANEW if often else time.time() - UNUSED)
            if self.size + size > self.limit:
                self._in_vain[often] = time.time()
        return self.size + size <= self.limit

    def write_bytes(self, key: str, content: bytes, *, often: bool = False) -> None:
        """Keep bytes under a key, unless there is no room or the disk refuses."""
        if not self.has_room(len(content), often=often):
            return
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path, within=self.folder) as partial:
                partial.write_bytes(zlib.crc32(content).to_bytes(SUM) + content)
        except OSError:
            self._size = self.limit  # the disk is full, or belongs to somebody else
            self._in_vain = dict.fromkeys((False, True), time.time())
            return
        self._size = self.size + len(content) + SUM

    @property
    def size(self) -> int:
        """The bytes of all files that this process knows of."""
        if self._size is None:
            self._size = sum(status.st_size for _, status in _files(self.folder))
        return self._size

    def _remove_unused(self, before: float) -> None:
        """Remove files that were last used before a moment, until there is room."""
        kept = []
        for path, status in _files(self.folder):
            kept.append((status.st_mtime, status.st_size, path))
        self._size = sum(size for _, size, _ in kept)
        for used, size, path in sorted(kept):
            if used >= before or self._size <= LEFT * self.limit:
                break
            with suppress(OSError):  # it belongs to somebody else
                path.unlink(missing_ok=True)
                self._size -= size

    def _path(self, key: str) -> Path:
        return self.folder / key[:LETTERS] / key


def _note_use(file: int) -> None:
    if time.time() - os.fstat(file).st_mtime > ANEW:
        with suppress(OSError):  # it belongs to somebody else
            os.utime(file)


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            with suppress(FileNotFoundError):  # another process has renamed it
                yield path, path.stat()
