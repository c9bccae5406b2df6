"""Copies images for people to look at: unchanged, or upright if a browser would turn the image.

A copy that is not the file itself has another name, which leads back to the image.
"""

import os
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

import cv2

from labelgrid.annotate.request import Request
from labelgrid.basics import files
from labelgrid.basics.errors import ImageError
from labelgrid.basics.progress import Progress
from labelgrid.formats.naming import LONGEST, stem
from labelgrid.images.opening import has_16_bits, open_image
from labelgrid.images.reading import orientation_of, read_image

#: Pillow's formats that every browser shows; MPO is a JPEG with a second picture behind it.
_SHOWN = frozenset({"JPEG", "MPO", "PNG", "BMP", "WEBP"})
QUALITY = 95


def is_shown_as_read(path: Path) -> bool:
    """Whether a browser shows an image as labelgrid reads it: stored upright, in 8 bits."""
    with files.disk_errors(path), files.open_regular(path) as file, open_image(file, path) as image:
        plain = image.format in _SHOWN and not has_16_bits(image)
    return plain and orientation_of(path) == 1


def copy_names(image_ids: Iterable[str], others: Collection[str]) -> dict[str, str]:
    """Image id -> the name of its copy: the id with another extension behind.

    Args:
        image_ids: the images that are copied in another form.
        others: all images, whose names no copy has.

    Raises:
        ImageError: all names of a copy are taken, or too long.

    Example:
        >>> copy_names(["a/b.heic", "c.tif"], {"a/b.heic", "a/b.jpg", "c.tif", "c.tif.jpg"})
        {'a/b.heic': 'a/b.heic.jpg', 'c.tif': 'c.tif.png'}
    """
    names = {}
    taken = {*others}
    for image_id in image_ids:
        for name in (f"{image_id}.jpg", f"{image_id}.png", f"{stem(image_id)}.jpg"):
            if name not in taken and len(PurePosixPath(name).name.encode()) <= LONGEST:
                names[image_id] = name
                taken.add(name)
                break
        else:
            raise ImageError(
                f"No name is left for an upright copy: '{image_id}.jpg' is another image, or too "
                "long.",
                where=image_id,
                next_step="Rename one of them.",
                unchanged="Nothing was written.",
            )
    return names


def copy_images(request: Request, folder: Path, *, link: bool, progress: Progress) -> None:
    """Copy all images of a request below a folder, under `request.names`, as `copy_image` does."""
    progress.start("Writing the request", len(request.images), "images")
    for image_id, source in sorted(request.images.items()):
        copy_image(source, folder / request.names[image_id], link=link)
        progress.advance()


def copy_image(source: Path, target: Path, *, link: bool = False) -> None:
    """Make `target` a copy of an image, upright and in 8 bits if it has another name.

    An up-to-date target is kept. With `link`, a copy of the same name is a link.

    Raises:
        ImageError: the image cannot be used.
        OSError: the disk reports an error.
    """
    if target.name == source.name:
        files.copy_file(source, target, link=link)
        return
    times = source.stat()
    is_file = target.is_file() and not target.is_symlink()
    if is_file and target.stat().st_mtime_ns == times.st_mtime_ns:
        return
    content = copy_content(source, target.name)
    with files.atomic_write(target) as temporary:
        temporary.write_bytes(content)
        os.utime(temporary, ns=(times.st_atime_ns, times.st_mtime_ns))


def copy_content(source: Path, name: str) -> bytes:
    """The bytes of an image's copy of a name, as `copy_image` writes the copy."""
    path = PurePosixPath(name)
    if path.name == source.name:
        return files.read_bytes(source)
    pixels = cv2.cvtColor(read_image(source), cv2.COLOR_RGB2BGR)
    try:
        done, data = cv2.imencode(path.suffix, pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    except cv2.error:
        done = False
    if not done:
        raise ImageError(
            f"The image is {pixels.shape[0]}x{pixels.shape[1]}, which a JPEG copy cannot hold.",
            where=source,
            next_step="Make it smaller, or take it out with `labelgrid remove`.",
        )
    return data.tobytes()
