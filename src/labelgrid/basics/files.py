"""Reads regular files only, and writes, copies and removes files atomically.

Errors of the disk become messages.
"""

import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib.machinery import PathFinder
from importlib.util import find_spec
from io import BufferedReader
from pathlib import Path

from labelgrid.basics.encodings import decode
from labelgrid.basics.errors import ProjectError, shortage

#: What torchvision says on a torch of another build or release: its own functions are not there.
_NO_MATCH = "torchvision::"
#: The modules that the extra [train] installs.
TRAINING = ("torch", "torchvision", "timm", "lightning_fabric", "safetensors")
#: The extras that install modules which the base install leaves out.
EXTRAS = {**dict.fromkeys(TRAINING, "train"), "pyarrow": "parquet", "skimage": "regions"}
#: The command that installs networks.
INSTALL = "pip install 'labelgrid[train]'"
#: The names of files and folders that are being written.
_HIDDEN = re.compile(r"\.[0-9a-f]{16}\.part")
#: Without O_NONBLOCK, opening a pipe waits for a writer.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

#: So many bytes are copied at a time.
_PIECE = 2**20


def open_regular(path: Path, limit: int | None = None, *, links: bool = True) -> BufferedReader:
    """Open a regular file, or with `links` a link to one, for reading bytes.

    With `limit`, a file of more bytes is refused.

    Raises:
        OSError: it does not exist, cannot be read, is not a regular file, or is larger than
            `limit`.

    Example:
        >>> open_regular(Path("/dev/zero"))
        Traceback (most recent call last):
        OSError: [Errno 22] it is a pipe or a device, not a file: '/dev/zero'
    """
    handle = os.open(path, _FLAGS if links else _FLAGS | os.O_NOFOLLOW)
    status = os.fstat(handle)
    if stat.S_ISREG(status.st_mode) and (limit is None or status.st_size <= limit):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if limit is not None and stat.S_ISREG(status.st_mode):
        fault = (
            f"its {status.st_size / 1e6:.0f} MB are more than the {limit / 1e6:.0f} MB "
            "that such a file can need"
        )
        raise OSError(errno.EFBIG, fault, str(path))
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))


def read_bytes(path: Path, limit: int | None = None) -> bytes:
    """Read a regular file; with `limit`, a file of more bytes is refused before it is read.

    Raises:
        OSError: as `open_regular`.
    """
    with open_regular(path, limit) as file:
        return file.read()


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """Read a regular text file, with all line ends as newlines.

    Raises:
        OSError: as `open_regular`.
        UnicodeDecodeError: the file is not text of this encoding.
    """
    return read_bytes(path).decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def read_foreign_text(path: Path) -> str:
    """Read a text file of another program, with all line ends as newlines: UTF-8 or UTF-16.

    Raises:
        OSError: as `open_regular`.
        UnicodeDecodeError: it is of no, or of an unknown encoding.
    """
    return decode(read_bytes(path)).text.replace("\r\n", "\n").replace("\r", "\n")


def walk(
    folder: Path, *, links: bool = False, on_error: Callable[[OSError], None] | None = None
) -> Iterator[tuple[str, list[str], list[str]]]:
    """A folder and all folders below: relative path, names of folders, names of files.

    The path is "" or ends in a slash. As with `os.walk`, a folder that is removed from the names is
    not entered, and they decide the order; but each folder comes once, and at any depth.

    Links to folders are entered with `links`. A folder that cannot be read is left out, after
    `on_error`.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        folders: list[str] = []
        names: list[str] = []
        linked: set[str] = set()
        try:
            status = os.stat(f"{folder}/{prefix}")  # noqa: PTH116 - a Path of a deep folder is slow
            with os.scandir(f"{folder}/{prefix}") as entries:
                for entry in entries:
                    (folders if entry.is_dir() else names).append(entry.name)
                    if entry.is_symlink():
                        linked.add(entry.name)
        except OSError as error:
            if on_error:
                on_error(error)
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        yield prefix, folders, names
        entered = [name for name in folders if links or name not in linked]
        waiting += [f"{prefix}{name}/" for name in reversed(entered)]


def digest(path: Path) -> str:
    """The content hash of a regular file, as stored in the ledger.

    Raises:
        OSError: as `open_regular`.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def copy_hashed(source: Path, target: Path) -> str:
    """Copy the content of a regular file; returns its hash, as `digest`.

    Raises:
        OSError: as `open_regular`, or the disk reports an error.
    """
    content = hashlib.blake2b(digest_size=16)
    with open_regular(source) as old, target.open("wb") as new:
        while piece := old.read(_PIECE):
            content.update(piece)
            new.write(piece)
    return content.hexdigest()


def digest_of(content: bytes) -> str:
    """The content hash of a file with this content, as `digest`."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


@contextmanager
def disk_errors(path: Path, unchanged: str = "") -> Iterator[None]:
    """Turn `OSError` into an error for the user.

    Raises:
        ProjectError: the disk is full, a path cannot be read or written, or a file has disappeared.
    """
    try:
        yield
    except ProjectError as error:  # raised by an inner block that does not know what is unchanged
        error.unchanged = error.unchanged or unchanged
        raise
    except FileNotFoundError as error:
        raise ProjectError(
            "The file does not exist any more.",
            where=error.filename,
            next_step="Put it back and run the same command again.",
            unchanged=unchanged,
        ) from error
    except OSError as error:
        reported = _reported(error, str(path))
        reported.unchanged = unchanged
        raise reported from error


def missing_for_networks() -> str:
    """The first module of the extra [train] that is not installed; "" if all are."""
    for name in TRAINING:
        # The path comes first: to ask all finders looks like an import to who watches for one.
        if PathFinder.find_spec(name) is None and find_spec(name) is None:
            return name
    return ""


def install_first() -> Sequence[str]:
    """The commands to type before a command of networks: none where networks are installed."""
    return (INSTALL,) if missing_for_networks() else ()


def need_networks(otherwise: str = "") -> None:
    """Refuse work of networks before it begins where networks are not installed.

    Args:
        otherwise: a sentence on how the command needs none; "" if it does in any case.

    Raises:
        ProjectError: they are not.
    """
    missing = missing_for_networks()
    if missing:
        error = _left_out(missing, "train")
        error.next_step = " ".join(filter(None, (error.next_step, otherwise)))
        raise error


def left_out(module: str) -> ProjectError | None:
    """The error for a missing module of an extra, with the install command; else None."""
    return None if find_spec(module) else _left_out(module, EXTRAS[module])


def _left_out(module: str, extra: str) -> ProjectError:
    return ProjectError(
        f"This needs {module}, which the base install leaves out.",
        next_step=f"Install it: pip install 'labelgrid[{extra}]'.",
    )


def of_system(error: BaseException) -> ProjectError | None:
    """The error for a user, where the cause is this machine; None for an error of another cause.

    It gave no memory, thread or file descriptor, its disk reports an error, or libraries are
    missing or do not match.

    Example:
        >>> print(of_system(OSError(28, "No space left on device", "a.png")))
        The disk reports an error: No space left on device (a.png).
          Free some space or fix the folder's permissions, and run the same command again.
    """
    short = shortage(error)
    if short:
        return ProjectError(short[0], next_step=short[1])
    if isinstance(error, ModuleNotFoundError) and error.name in EXTRAS:
        return _left_out(error.name, EXTRAS[error.name])
    if isinstance(error, RuntimeError) and _NO_MATCH in str(error):
        return ProjectError(
            "The installed torch and torchvision do not match: they are of different builds or "
            "releases.",
            next_step="Install both from one index, and run the same command again.",
        )
    if not isinstance(error, OSError):
        return None
    return _reported(error, str(error.filename or ""))


def _reported(error: OSError, where: str) -> ProjectError:
    advice = "Free some space or fix the folder's permissions, and run the same command again."
    if error.errno == errno.ENAMETOOLONG:
        advice = "Give a shorter name."
    return ProjectError(
        f"The disk reports an error: {error.strerror or error}.",
        where=where[:255],
        next_step=advice,
    )


@contextmanager
def atomic_write(
    path: Path, *, durable: bool = False, within: Path | None = None
) -> Iterator[Path]:
    """Yield an empty file beside `path`, and rename it to `path` if the block succeeds.

    If the process is killed, `path` holds its old or its new content, never a part. The hidden file
    stays until `remove_abandoned`. With `durable` the same is true for a power cut; without it,
    call `flush` later.

    The folder of `path` is made. `within` is another folder of the same disk for the hidden file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, handle = _make_hidden(within or path.parent, _make_file)
    try:
        yield temporary
        if durable:
            _flush(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces `folder` if the block succeeds.

    If the process is killed, `folder` is missing or has its old or its new files, never a part of
    them. The hidden folder stays until `remove_abandoned`.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    building, handle = _make_hidden(folder.parent, _make_folder)
    try:
        yield building
        remove_folder(folder)
        building.rename(folder)
    finally:
        remove_folder(building)
        os.close(handle)


def _make_hidden(folder: Path, make: Callable[[Path], int]) -> tuple[Path, int]:
    """Make and lock something hidden in a folder, and return the path and the handle.

    Until it is locked, `remove_abandoned` takes it for abandoned: then another one is made.
    """
    while True:
        # The name is short: that of what it replaces may be as long as the disk allows.
        path = folder / f".{secrets.token_hex(8)}.part"
        handle = make(path)
        if _is_kept(path, handle):
            return path, handle
        os.close(handle)


def _make_file(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def _make_folder(path: Path) -> int:
    while True:
        path.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):  # it was removed already
            return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _is_kept(path: Path, handle: int) -> bool:
    """Lock something just made, and say whether it is still there."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # the disk has no locks, so that nothing is removed
        return True
    return path.exists()


def remove_abandoned(folder: Path, *, deep: bool = False) -> None:
    """Remove what killed processes were writing with `atomic_write` and `atomic_folder`.

    What a living process writes is kept, and on a disk without locks everything is.

    With `deep` also in all folders below; the folder need not exist.
    """
    for prefix, folders, names in walk(folder):
        for name in filter(_HIDDEN.fullmatch, [*names, *folders]):
            _remove_if_abandoned(folder / prefix / name)
        folders[:] = [name for name in folders if deep and not _HIDDEN.fullmatch(name)]


def _remove_if_abandoned(path: Path) -> None:
    with suppress(OSError):  # also if another process has the lock, or the disk has no locks
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if stat.S_ISDIR(os.fstat(handle).st_mode):
                remove_folder(path)
            else:
                path.unlink()
        finally:
            os.close(handle)


def write_bytes(
    path: Path, content: bytes | memoryview, unchanged: str = "", *, durable: bool = False
) -> None:
    """Write a file atomically, in place of an earlier one; `durable` is as of `atomic_write`.

    Raises:
        ProjectError: the disk reports an error; `unchanged` is added to the message.
    """
    with disk_errors(path, unchanged), atomic_write(path, durable=durable) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str, unchanged: str = "") -> None:
    """Write a text file atomically and durably.

    Raises:
        ProjectError: the disk reports an error; `unchanged` is added to the message.
    """
    write_texts(path, [text], unchanged)


def write_texts(path: Path, texts: Iterable[str], unchanged: str = "") -> None:
    """Write texts as a file, atomically and durably; each text is taken when it is written.

    Raises:
        ProjectError: the disk reports an error; `unchanged` is added to the message.
    """
    with (
        disk_errors(path, unchanged),
        atomic_write(path, durable=True) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        file.writelines(texts)


def inside(folder: Path, relative: str) -> Path:
    """A path below a folder, with all links resolved.

    Raises:
        ProjectError: the path leads out of the folder.
    """
    root = os.path.realpath(folder)
    path = Path(os.path.realpath(folder / relative.replace("\0", "")))
    if "\0" in relative or not path.is_relative_to(root):
        raise ProjectError(
            f"The path leads out of the project: {relative!r}.", unchanged="Nothing was read."
        )
    return path


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` a hard link to `source` where the disk can do that, otherwise a copy.

    Its folder is made; an earlier file is replaced.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source.resolve())
    except OSError:
        shutil.copyfile(source, target)


def remove_folder(folder: Path) -> None:
    """Remove a folder of the program, if the folder exists."""
    shutil.rmtree(folder, ignore_errors=True)


def copy_file(source: Path, target: Path, *, link: bool = False) -> None:
    """Make `target` a copy of `source`, or with `link` a symbolic link to it.

    An up-to-date target is kept.
    """
    if link:
        if target.is_symlink() and target.readlink() == source.absolute():
            return
        with atomic_write(target) as temporary:
            temporary.unlink()
            temporary.symlink_to(source.absolute())
        return
    if not target.is_symlink() and target.is_file():
        wanted = source.stat()
        present = target.stat()
        if (wanted.st_size, wanted.st_mtime_ns) == (present.st_size, present.st_mtime_ns):
            return
    with atomic_write(target) as temporary:
        shutil.copyfile(source, temporary)
        times = source.stat()
        os.utime(temporary, ns=(times.st_atime_ns, times.st_mtime_ns))


def remove_files(folder: Path, names: Iterable[str]) -> None:
    """Remove files that the program made below a folder.

    Files that a link places outside of it are kept.
    """
    inside = os.path.realpath(folder)
    for name in names:
        path = folder / name
        if "\0" not in name and Path(os.path.realpath(path.parent)).is_relative_to(inside):
            path.unlink(missing_ok=True)
            with suppress(OSError):  # remove the folder too if it is empty now
                path.parent.rmdir()


def flush(paths: Iterable[Path]) -> Iterator[Path]:
    """Flush files and folder entries to the disk; yield each path when it is durable.

    Sixteen run in parallel, because one flush takes about 7 ms and many at once take little more.
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
