"""How files are put into folders, whole or not at all, and how a disk's refusal becomes a sentence."""

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from labelgrid.errors import ProjectError


@contextmanager
def disk(path: Path, unchanged: str = "") -> Iterator[None]:
    """Turn the disk's refusals into a sentence.

    Raises:
        ProjectError: the disk is full, the place cannot be read or written, or a file is gone.
    """
    try:
        yield
    except ProjectError as error:  # a block inside knew nothing of the rest
        error.unchanged = error.unchanged or unchanged
        raise
    except FileNotFoundError as error:
        raise ProjectError(
            "The file is not there any more.",
            where=str(error.filename),
            next_step="Put it back and run the same command again.",
            unchanged=unchanged,
        ) from error
    except OSError as error:
        raise ProjectError(
            f"The disk refuses: {error.strerror or error}.",
            where=str(path),
            next_step="Free some space or mend the folder's permissions, and run the same command again.",
            unchanged=unchanged,
        ) from error


@contextmanager
def atomic_write(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A temporary path beside `path` that becomes it if nothing goes wrong.

    When the process is killed, `path` is what it was or what it is to be, never half; a hidden file may be left over.
    The same holds for a power cut if it is to be `durable`; else it may spoil what was not flushed (`flush`).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")  # short: a name may be as long as the disk allows
    try:
        yield temporary
        if durable:
            _flush(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str, unchanged: str = "") -> None:
    """Write a text file, whole or not at all, and durably.

    Raises:
        ProjectError: the disk refuses; `unchanged` is what it says of the rest.
    """
    with disk(path, unchanged), atomic_write(path, durable=True) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def remove_folder(folder: Path) -> None:
    """Remove a folder of the program's own making, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)


def place(source: Path, target: Path, *, link: bool = False) -> None:
    """Make `target` a copy of `source`, or a link to it; one that is there already is not made again."""
    if link:
        if target.is_symlink() and target.readlink() == source.absolute():
            return
        with atomic_write(target) as temporary:
            temporary.symlink_to(source.absolute())
        return
    if not target.is_symlink() and target.is_file() and _same(source, target):
        return
    with atomic_write(target) as temporary:
        shutil.copyfile(source, temporary)
        times = source.stat()
        os.utime(temporary, ns=(times.st_atime_ns, times.st_mtime_ns))


def _same(source: Path, target: Path) -> bool:
    one, other = source.stat(), target.stat()
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def remove(folder: Path, names: Iterable[str]) -> None:
    """Remove files of our own making below a folder; one that a link leads out of it to stays."""
    inside = folder.resolve()
    for name in names:
        path = folder / name
        if path.parent.resolve().is_relative_to(inside):
            path.unlink(missing_ok=True)
            with suppress(OSError):  # folders that are empty now go too
                path.parent.rmdir()


def flush(paths: Iterable[Path]) -> Iterator[Path]:
    """Bring files, and the names in folders, to the disk, and give each back when it is there.

    Sixteen at once: a disk that takes 7 ms for one flush takes little more for many.
    """
    with ThreadPoolExecutor(16) as threads:
        yield from threads.map(_flush, paths)


def _flush(path: Path) -> Path:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return path
