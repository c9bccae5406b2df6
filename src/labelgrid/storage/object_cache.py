"""Keeps contents of objects on disk by hash, up to a size; several processes share the folder.

A file gets its name only when it is complete, and every read compares the content with the name.
Files leave in the order in which they were last used.
"""

import errno
import fcntl
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from labelgrid.basics.errors import StorageError
from labelgrid.basics.files import digest, link_or_copy, remove_folder
from labelgrid.storage.store_settings import FOLDER, SIZE, cache_bytes, cache_folder

#: So many files that a thread asked for last are not removed.
LEASED = 4
#: After a removal the cache has so much of its limit.
KEPT = 0.9
#: Unfinished files of killed processes are removed after so many seconds.
ABANDONED = 24 * 3600.0
_TOTAL = "bytes.txt"
_PART = ".part"
_HELD = "held-"


class _Lease:
    """An open handle of a file, which no process removes until the lease is dropped."""

    def __init__(self, path: Path) -> None:
        self.handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(self.handle, fcntl.LOCK_SH)

    def __del__(self) -> None:
        with suppress(AttributeError, OSError):
            os.close(self.handle)


class _Leases(threading.local):
    """The last leases of a thread; all end with the thread."""

    def __init__(self) -> None:
        self.last: deque[_Lease] = deque(maxlen=LEASED)


_LEASES = _Leases()


@dataclass(frozen=True)
class Cache:
    """Files by content hash and extension, in a folder, of together at most `limit` bytes.

    The files that threads read at the moment may be more than that.
    """

    folder: Path
    limit: int

    @classmethod
    def of_environment(cls) -> "Cache":
        """The cache that the environment sets."""
        return cls(cache_folder(), cache_bytes())

    def find(self, content: str, suffix: str, *, check: bool = True) -> Path | None:
        """The file with a content; None if it is not here, and then a damaged one is removed.

        It stays until this thread has asked for some more.

        Args:
            content: the content hash, as `labelgrid.basics.files.digest`.
            suffix: the extension.
            check: compare the file's content with its hash; otherwise the caller does.
        """
        path = self._path(content, suffix)
        try:
            lease = _Lease(path)
            if not os.fstat(lease.handle).st_nlink:  # another process removed it meanwhile
                return None
            sound = not check or digest(path) == content
        except FileNotFoundError:
            return None
        except OSError:  # its disk is damaged
            sound = False
        if not sound:
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):  # a cache that cannot be written serves, too
            os.utime(lease.handle)
        _LEASES.last.append(lease)
        return path

    def holds(self, content: str, suffix: str) -> bool:
        """Whether there is a file for a content; it is not read."""
        return self._path(content, suffix).exists()

    @contextmanager
    def new_file(self) -> Iterator[Path]:
        """Yield the path of a new, empty file in the cache's folder; remove the file afterwards."""
        path = self.folder / f"{secrets.token_hex(8)}{_PART}"
        try:
            with self.disk_errors():
                self.folder.mkdir(parents=True, exist_ok=True)
                path.touch()
            yield path
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def take(self, file: Path, suffix: str) -> tuple[Path, str]:
        """Move a complete file into the cache; return the path there, and the content hash."""
        with self.disk_errors():
            content = digest(file)
            path = self._path(content, suffix)
            lease = _Lease(file)
            path.parent.mkdir(exist_ok=True)
            with self._total() as total:
                if path.exists() and digest(path) == content:
                    lease = _Lease(path)  # others may read it: their leases are of that file
                else:
                    total[0] += 0 if path.exists() else file.stat().st_size
                    file.replace(path)
                _LEASES.last.append(lease)
                if total[0] > self.limit:
                    total[0] = self._shrink(int(KEPT * self.limit))
        return path, content

    def make_room(self) -> bool:
        """Remove half of the files, because the disk is full; whether there was one."""
        with self._total() as total:
            before = self._size()
            total[0] = self._shrink(before // 2)
            return total[0] < before

    @contextmanager
    def held(self, path: Path, name: str) -> Iterator[Path]:
        """Yield a second path, with a given name, to a file of the cache; both stay meanwhile."""
        with TemporaryDirectory(prefix=_HELD, dir=self.folder) as folder:
            other = Path(folder, name)
            with self.disk_errors():
                link_or_copy(path, other)
            yield other

    @contextmanager
    def disk_errors(self) -> Iterator[None]:
        """Turn errors of the cache's disk into an error with a next step.

        Raises:
            FileNotFoundError: was raised inside.
            StorageError: the disk is full, or cannot be written.
        """
        try:
            yield
        except FileNotFoundError:  # of an object that is fetched
            raise
        except OSError as error:
            step = f"Free some space, or set {FOLDER} to a folder on another disk."
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                step = f"Fix the folder's permissions, or set {FOLDER} to another folder."
            raise StorageError(
                f"The cache of objects cannot be written: {error.strerror or error}.",
                where=self.folder,
                next_step=f"{step} {SIZE} sets its size.",
            ) from error

    def _path(self, content: str, suffix: str) -> Path:
        return self.folder / content[:2] / f"{content}{suffix}"

    @contextmanager
    def _total(self) -> Iterator[list[int]]:
        """Yield the bytes of all files, to be changed; other processes wait.

        A process that was killed may leave a wrong number: each removal counts anew.
        """
        handle = os.open(self.folder / _TOTAL, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            text = os.pread(handle, 32, 0).strip()
            total = [int(text) if text.isdigit() else self._size()]
            yield total
            os.pwrite(handle, b"%-31d\n" % total[0], 0)
        finally:
            os.close(handle)

    def _shrink(self, aim: int) -> int:
        """Remove the files used longest ago until at most `aim` bytes are left; return the rest."""
        files = sorted(self._files())
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= aim:
                break
            if _unlink_unread(path):
                total -= size
        oldest = time.time() - ABANDONED
        for unfinished in [*self.folder.glob(f"*{_PART}"), *self.folder.glob(f"{_HELD}*")]:
            with suppress(OSError):
                if unfinished.stat().st_mtime < oldest:
                    remove_folder(unfinished) if unfinished.is_dir() else unfinished.unlink()
        return total

    def _files(self) -> Iterator[tuple[int, int, str]]:
        for folder in self.folder.glob("[0-9a-f][0-9a-f]"):
            with os.scandir(folder) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):
                        status = entry.stat()
                        yield status.st_mtime_ns, status.st_size, entry.path

    def _size(self) -> int:
        return sum(size for _, size, _ in self._files())


def _unlink_unread(path: str) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)  # noqa: PTH108 - the scan of a large cache makes no Path each
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
