"""Lists the image files of folders and lists, and checks that every file can be read.

Loads no torch.
"""

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from labelgrid.annotate.answers import Fault, fault_lines
from labelgrid.basics.errors import ImageError
from labelgrid.basics.files import open_regular, write_text
from labelgrid.basics.progress import Progress
from labelgrid.basics.words import count_text
from labelgrid.images.listing import EXTENSIONS, read_list, scan_folder
from labelgrid.images.places import group_of, image_file, is_remote
from labelgrid.images.reading import check_image, image_size
from labelgrid.images.thumbnails import LEAST, Thumbnail, read_thumbnail, thumbnail_of
from labelgrid.ledger.grid import ImageRow
from labelgrid.project.folder import LEFT_OUT

if TYPE_CHECKING:  # most projects have no images in stores of objects
    from labelgrid.storage.addresses import Address
    from labelgrid.storage.stamps import Stamp

Check = Literal["full", "none"]
#: The extensions of lists that are tables.
TABLES = frozenset({".csv", ".parquet"})


@dataclass(frozen=True)
class ImageFolder:
    """The image files below a folder.

    Args:
        root: the folder's path or address.
        image_ids: their paths below it.
        others: the number of other files by the end of their names.
        stamps: the versions of objects, where a list of them said these.
    """

    root: str
    image_ids: list[str]
    others: Mapping[str, int] = field(default_factory=dict)
    stamps: "Mapping[Address, Stamp]" = field(default_factory=dict, repr=False)


def find_images(
    paths: "Sequence[Path | Address]",
    left_out: list[Fault] | None = None,
    roots: Callable[[], Collection[str]] = tuple,
) -> list[ImageFolder]:
    """The images of folders and lists, on this machine or in stores of objects.

    Args:
        paths: folders, and lists of paths relative to the list, or of addresses.
        left_out: gets the files whose names cannot be used; None: such a name is an error.
        roots: returns the existing roots of images: ids of addresses below such a root begin there.

    Raises:
        ImageError: a path does not exist or holds no images, or two paths hold different images
            with the same id.
        StorageError: a store refuses or does not answer.
    """
    for path in paths:
        if isinstance(path, Path) and not path.exists():
            raise ImageError(
                "There is no such folder of images, and no such list.",
                where=path,
                next_step="Check the path.",
            )
    folders: list[ImageFolder] = []
    for path in paths:
        if not isinstance(path, Path):
            folders += _remote_folders(path, left_out, roots)
        elif path.is_dir():
            wrong: dict[str, ImageError] | None = None if left_out is None else {}
            folders.append(ImageFolder(str(path.resolve()), *scan_folder(path, wrong)))
            _leave_out(wrong, left_out)
        elif "://" in _start(path) or path.suffix.lower() in TABLES:
            folders += _listed_folders(path, roots)
        else:
            folders.append(ImageFolder(str(path.resolve().parent), read_list(path)))
    if len(folders) > 1:
        _refuse_equal_ids(folders)
    return folders


def _remote_folders(
    address: "Address", left_out: list[Fault] | None, roots: Callable[[], Collection[str]]
) -> Iterator[ImageFolder]:
    from labelgrid.images.object_folders import LISTS, list_objects

    if address.suffix in LISTS:
        yield from _listed_folders(address, roots)
    elif address.suffix in EXTENSIONS:
        raise ImageError(
            "This is the address of one image.",
            where=address,
            next_step="Give the address above the images, or of a list of them.",
        )
    else:
        wrong: dict[str, ImageError] | None = None if left_out is None else {}
        folder = list_objects(address, wrong)
        _leave_out(wrong, left_out)
        yield ImageFolder(folder.root, folder.image_ids, folder.others, folder.stamps)


def _listed_folders(
    place: "Path | Address", roots: Callable[[], Collection[str]]
) -> Iterator[ImageFolder]:
    from labelgrid.images.object_folders import read_object_list

    for folder in read_object_list(place, roots()):
        yield ImageFolder(folder.root, folder.image_ids)


def _start(path: Path) -> str:
    """The beginning of a list; "" if unreadable, which the list's reader says."""
    with suppress(OSError), open_regular(path) as file:
        return file.read(2**16).decode(errors="replace")
    return ""


def _leave_out(wrong: Mapping[str, ImageError] | None, left_out: list[Fault] | None) -> None:
    for name, error in (wrong or {}).items():
        assert left_out is not None
        left_out.append(Fault(name, error.what, error.next_step))


def _refuse_equal_ids(folders: Sequence[ImageFolder]) -> None:
    roots: dict[str, str] = {}
    for folder in folders:
        for image_id in folder.image_ids:
            root = roots.setdefault(image_id, folder.root)
            if root != folder.root:
                raise ImageError(
                    f"Two images have the id '{image_id}': one below {root}, one below "
                    f"{folder.root}.",
                    next_step="Give the folder above both, so that their paths differ.",
                )


def other_files_text(others: Mapping[str, int]) -> str:
    """Counts of files by the end of their names, in words; the most frequent first.

    Example:
        >>> other_files_text({".gif": 2, "": 1})
        '2 .gif, 1 without an extension'
    """
    ordered = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {ending or 'without an extension'}" for ending, count in ordered)


def say_other_files(folders: Iterable[ImageFolder], progress: Progress) -> None:
    """Say how many files of which kind were not taken."""
    others: Counter[str] = Counter()
    for folder in folders:
        others.update(folder.others)
    if others:
        progress.say(
            f"Not taken, because they are not images that can be read: {other_files_text(others)}."
        )


def rows_of(
    folders: Iterable[ImageFolder],
    check: Check,
    group: str,
    progress: Progress,
    *,
    left_out: list[Fault] | None = None,
    thumbnails: dict[str, Thumbnail] | None = None,
) -> Iterator[ImageRow]:
    """Ledger rows of the images; `full` reads every file to its end, `none` opens no file.

    `left_out` gets the unusable images; without it, one is an error. `thumbnails` gets those of the
    images that are read.

    Raises:
        ImageError: lists the images that cannot be used: without `left_out`, or if all are.
    """
    folders = list(folders)
    total = sum(len(folder.image_ids) for folder in folders)
    progress.start("Checking images" if check == "full" else "Listing images", total, "images")
    faults = []
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for folder in folders:
            if check == "none":
                for image_id in folder.image_ids:
                    yield ImageRow(
                        image_id=image_id, root=folder.root, group=group_of(group, image_id)
                    )
                progress.advance(len(folder.image_ids))
                continue
            rows: Iterable[ImageRow | Fault]
            if is_remote(folder.root):
                rows = _object_rows(folder, group, thumbnails)
            else:
                read = partial(_read_row, folder.root, group, thumbnails)
                rows = threads.map(read, folder.image_ids)
            for row in rows:
                progress.advance()
                if isinstance(row, Fault):
                    faults.append(row)
                else:
                    yield row
    refuse_or_leave_out(faults, total, left_out)


def _object_rows(
    folder: ImageFolder, group: str, thumbnails: dict[str, Thumbnail] | None
) -> Iterator[ImageRow | Fault]:
    """The rows of images in a store of objects; those of known versions are not read.

    For thumbnails, they are.
    """
    # Most projects have no objects.
    from labelgrid.project.images.object_contents import read_objects

    check = partial(_fault_or_size, thumbnails=thumbnails)
    again = thumbnails is not None
    for result in read_objects(folder.root, folder.image_ids, folder.stamps, check, again=again):
        if isinstance(result, Fault):
            yield result
            continue
        yield ImageRow(
            image_id=result.image_id,
            root=folder.root,
            digest=result.content.digest,
            height=result.content.height,
            width=result.content.width,
            group=group_of(group, result.image_id),
        )


def refuse_or_leave_out(faults: Sequence[Fault], total: int, left_out: list[Fault] | None) -> None:
    """Refuse images with faults; with `left_out`, only if no other image is there.

    `left_out` gets the faults.

    Raises:
        ImageError: lists the images.
    """
    if left_out is not None:
        left_out += faults
    if faults and (left_out is None or len(faults) == total):
        advice = "" if left_out else ", or leave them out with --leave-out"
        raise ImageError(
            f"{len(faults)} of {count_text(total, 'image')} cannot be used:\n    "
            + "\n    ".join(fault_lines(faults)),
            next_step=f"Fix or remove them{advice}.",
        )


def readable_images(
    paths: Mapping[str, Path], left_out: list[Fault], progress: Progress
) -> list[str]:
    """The images whose files can be read to the end.

    `left_out` gets the others.

    Raises:
        ImageError: there are others only.
    """
    progress.start("Checking images", len(paths), "images")
    faults = []
    readable = []
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        results = threads.map(partial(_fault_at, paths), paths)
        for image_id, fault in zip(paths, results, strict=True):
            progress.advance()
            if fault:
                faults.append(fault)
            else:
                readable.append(image_id)
    refuse_or_leave_out(faults, len(paths), left_out)
    return readable


def _fault_at(paths: Mapping[str, Path], image_id: str) -> Fault | None:
    try:
        check_image(paths[image_id])
    except ImageError as error:
        return Fault(image_id, error.what, error.next_step)
    return None


def size_of(row: ImageRow) -> tuple[int, int]:
    """Height and width of an image, from its header if the ledger has no size."""
    if row.height:
        return row.height, row.width
    return image_size(image_file(row.root, row.image_id, row.digest))


def write_left_out(folder: Path, left_out: Iterable[Fault]) -> None:
    """List the images that were left out in a file of the project, a line each.

    Without any, the file of an earlier command is removed.
    """
    path = folder / LEFT_OUT
    lines = [" ".join(str(fault).splitlines()) for fault in left_out]
    if lines:
        write_text(path, "".join(f"{line}\n" for line in lines))
    else:
        path.unlink(missing_ok=True)


def _fault_or_size(
    image_id: str, path: Path, thumbnails: dict[str, Thumbnail] | None = None
) -> tuple[int, int, str] | Fault:
    """The height, width and content hash of an image's file, or the file's fault."""
    try:
        if thumbnails is None:
            return check_image(path)
        decoded = []
        image = check_image(path, lambda pixels: decoded.append(thumbnail_of(pixels)))
        if max(image.height, image.width) >= LEAST:
            thumbnails[image_id] = decoded[0] if decoded else read_thumbnail(path, image.digest)
        return image
    except ImageError as error:
        return Fault(image_id, error.what, error.next_step)


def _read_row(
    root: str, group: str, thumbnails: dict[str, Thumbnail] | None, image_id: str
) -> ImageRow | Fault:
    result = _fault_or_size(image_id, Path(root) / image_id, thumbnails)
    if isinstance(result, Fault):
        return result
    height, width, digest = result
    return ImageRow(
        image_id=image_id,
        root=root,
        digest=digest,
        height=height,
        width=width,
        group=group_of(group, image_id),
    )
