"""Opens regular files, each once; a pipe, device, socket or folder is refused and never waited for."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

_FLAGS = (
    os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
)  # opening a pipe without O_NONBLOCK waits for a writer


def open_regular(path: Path, limit: int | None = None) -> BufferedReader:
    """Open a regular file, or a link to one, for reading bytes; with `limit`, a file of more bytes is refused.

    Raises:
        OSError: it does not exist, cannot be read, is not a regular file, or is larger than `limit`.

    Example:
        >>> open_regular(Path("/dev/zero"))
        Traceback (most recent call last):
        OSError: [Errno 22] it is a pipe or a device, not a file: '/dev/zero'
    """
    handle = os.open(path, _FLAGS)
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode) and (limit is None or found.st_size <= limit):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if limit is not None and stat.S_ISREG(found.st_mode):
        what = f"its {found.st_size / 1e6:.0f} MB are more than the {limit / 1e6:.0f} MB that such a file can need"
        raise OSError(errno.EFBIG, what, str(path))
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))


def read_bytes(path: Path, limit: int | None = None) -> bytes:
    """Read a regular file; with `limit`, a file of more bytes is refused before it is read.

    Raises:
        OSError: as `open_regular`.
    """
    with open_regular(path, limit) as file:
        return file.read() if limit is None else file.read(limit)


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """Read a regular text file, with all line ends as newlines.

    Raises:
        OSError: as `open_regular`. UnicodeDecodeError: the file is not text of this encoding.
    """
    return read_bytes(path).decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
