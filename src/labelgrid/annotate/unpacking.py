"""Unpacks an answer of zip files, and refuses what no labelling tool packs."""

import shutil
import stat
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path, PurePosixPath
from tempfile import gettempdir, mkdtemp
from typing import IO
from zipfile import BadZipFile, LargeZipFile, ZipFile, ZipInfo, is_zipfile

from labelgrid.basics import files
from labelgrid.basics.errors import LabelError, ProjectError
from labelgrid.basics.progress import Progress, Silent

#: A zip file may unpack to so many bytes, or to so many times its own, whichever is more.
BYTES = 2**28
TIMES = 200
#: The most files in a zip file.
MEMBERS = 1_000_000
#: More files are removed in the background.
FEW = 5000
#: The most folders that a file in it lies below.
FOLDERS = 200
_ENCRYPTED = 0x1
_BLOCK = 2**20
#: What Macs pack beside the files.
_BESIDE = "__MACOSX"


@contextmanager
def unpacked(path: Path, progress: Progress | None = None) -> Iterator[Path]:
    """Provide an answer itself, or the folder that a zip file unpacks to, for a while.

    A folder of nothing but zip files unpacks to a folder of a folder each. Files beyond `FEW` are
    removed by a separate process that may outlive this one, because removing takes longer than
    writing.

    Raises:
        LabelError: a zip file is damaged, encrypted or too large, or a name in it leads out of
            the folder, comes twice or is that of a link.
        ProjectError: the disk reports an error.
    """
    packed = _zip_files(path)
    if not packed:
        yield path
        return
    with (
        files.disk_errors(Path(gettempdir()), "Nothing was imported."),
        _temporary_folder() as folder,
    ):
        for archive in packed:
            target = folder if archive == path else Path(folder, archive.name)
            try:
                _unpack(archive, target, progress or Silent())
            except _REFUSED as error:
                raise LabelError(
                    f"The zip file cannot be unpacked: {error}.",
                    where=archive,
                    next_step="Export it again, or unpack it and import the folder.",
                    unchanged="Nothing was imported.",
                ) from error
        yield folder


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    folder = Path(mkdtemp(prefix="labelgrid-"))
    try:
        yield folder
    finally:
        if sum(1 for _ in islice(folder.rglob("*"), FEW)) < FEW:
            files.remove_folder(folder)
        else:
            subprocess.Popen(["rm", "-rf", "--", str(folder)], start_new_session=True)


def _zip_files(path: Path) -> list[Path]:
    """The zip files of an answer: the file, or a folder's files if all are zip files."""
    if not path.is_dir():
        return [path] if _is_zip(path) else []
    with files.disk_errors(path, "Nothing was imported."):
        inside = sorted(file for file in path.iterdir() if not file.name.startswith("."))
    if not all(_is_zip(file) and not file.is_symlink() for file in inside):
        return []
    return inside


def _is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip" and path.is_file()


class _WrongZipError(ValueError):
    """The fault of a zip file."""


#: What `zipfile` raises for damaged files; names that are no text are a `ValueError`.
_REFUSED = (ValueError, BadZipFile, LargeZipFile, NotImplementedError, EOFError, zlib.error)


def _unpack(path: Path, folder: Path, progress: Progress) -> None:
    if not is_zipfile(path):
        raise _WrongZipError("it is no zip file, or its end is missing")
    with ZipFile(path) as archive:
        members = [member for member in archive.infolist() if member.filename[-1:] != "/"]
        _check_members(members)
        _check_room(sum(member.file_size for member in members), path, folder)
        progress.start("Unpacking", len(members), "files")
        made: set[str] = set()
        for member in members:
            target = folder / member.filename
            parent = member.filename.rpartition("/")[0]
            if parent not in made:
                target.parent.mkdir(parents=True, exist_ok=True)
                made.add(parent)
            with archive.open(member) as source, target.open("xb") as out:
                _copy(source, out, member.file_size)
            progress.advance()


def _check_room(stated: int, path: Path, folder: Path) -> None:
    if stated > max(BYTES, TIMES * path.stat().st_size):
        raise _WrongZipError("it unpacks to far more than any answer holds")
    free = shutil.disk_usage(folder.parent).free
    if stated > free:
        raise ProjectError(
            f"The zip file unpacks to {stated / 1e6:,.0f} MB, and there are {free / 1e6:,.0f} MB "
            "free.",
            where=folder.parent,
            next_step="Free some space there, or name another folder by the variable TMPDIR.",
            unchanged="Nothing was imported.",
        )


def _check_members(members: list[ZipInfo]) -> None:
    if len(members) > MEMBERS:
        raise _WrongZipError(f"it holds {len(members):,} files, more than {MEMBERS:,}")
    seen: set[str] = set()
    for member in members:
        name = member.filename
        path = PurePosixPath(name)
        _check_place(name, path)
        if stat.S_ISLNK(member.external_attr >> 16):
            raise _WrongZipError(f"{name!r} in it is a link")
        if member.flag_bits & _ENCRYPTED:
            raise _WrongZipError(f"{name!r} in it is encrypted")
        if str(path) in seen:
            raise _WrongZipError(f"it holds {name!r} twice")
        seen.add(str(path))


def _check_place(name: str, path: PurePosixPath) -> None:
    if not path.parts:
        raise _WrongZipError("a file in it has no name")
    if len(path.parts) > FOLDERS:
        raise _WrongZipError(f"a file in it lies below more than {FOLDERS} folders")
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in path.parts[0]:
        raise _WrongZipError(f"the name {name!r} in it leads out of a folder")


def _copy(source: IO[bytes], out: IO[bytes], left: int) -> None:
    while block := source.read(_BLOCK):
        left -= len(block)
        if left < 0:
            raise _WrongZipError("it unpacks to far more than any answer holds")
        out.write(block)


def inner_folder(folder: Path) -> Path | None:
    """The only content of a folder, apart from hidden files, if the content is a folder; else None.

    A link is none. It raises nothing.
    """
    try:
        inside = [path for path in folder.iterdir() if not _is_hidden(path)]
    except OSError:
        return None
    if len(inside) != 1 or inside[0].is_symlink() or not inside[0].is_dir():
        return None
    return inside[0]


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".") or path.name == _BESIDE
