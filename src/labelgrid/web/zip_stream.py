"""Packs a folder as a zip file while it is sent, without a copy on the disk."""

import io
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from labelgrid.basics.files import open_regular

_BLOCK = 2**20
#: The first year that a zip file can name.
_FIRST = (1980, 1, 1, 0, 0, 0)


def packed(folder: Path) -> Iterator[bytes]:
    """Yield a zip file of a folder, part by part: its regular files, sorted by name.

    Links are left out, so nothing outside the folder is sent. Pictures are compressed already, so
    nothing else is.

    Raises:
        OSError: a file cannot be read.
    """
    written = _Written()
    with ZipFile(written, "w", ZIP_STORED) as archive:
        for path in regular_files(folder):
            with (
                open_regular(path, links=False) as file,
                archive.open(_entry(path, folder, file.fileno()), "w", force_zip64=True) as target,
            ):
                while block := file.read(_BLOCK):
                    target.write(block)
                    yield written.take()
    yield written.take()


def regular_files(folder: Path) -> list[Path]:
    """The regular files below a folder, by name, without links."""
    paths = []
    for parent, _, names in os.walk(folder):  # follows no link
        paths += [Path(parent, name) for name in names]
    return sorted(path for path in paths if stat.S_ISREG(path.lstat().st_mode))


def _entry(path: Path, folder: Path, handle: int) -> ZipInfo:
    changed = time.localtime(os.fstat(handle).st_mtime)[:6]
    return ZipInfo(path.relative_to(folder).as_posix(), max(changed, _FIRST))


class _Written(io.RawIOBase):
    """A file without seeking, from which written bytes are taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        """Answer as every writable file does."""
        return True

    def write(self, part: object) -> int:
        """Keep a part until it is taken."""
        content = bytes(part)  # type: ignore[call-overload]
        self._parts.append(content)
        return len(content)

    def take(self) -> bytes:
        """What was written since the last call."""
        content = b"".join(self._parts)
        self._parts.clear()
        return content
