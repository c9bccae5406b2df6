"""Reads how sure a supplier is of each pixel: files of confidence, and grades of binary maps."""

from pathlib import Path

import numpy as np

from labelgrid.basics.array_types import Array, Bytes, Floats32
from labelgrid.basics.errors import LabelError
from labelgrid.basics.type_names import Size
from labelgrid.formats.arrays import one_channel, samples, shape_text
from labelgrid.formats.codec import LabelArray
from labelgrid.images.opening import label_of

#: The extensions of files that hold shares.
EXTENSIONS = (".png", ".npy")


def confidence_folder(task: str) -> str:
    """The name of the folder beside a task's folder of labels, with a map for each label.

    Example:
        >>> confidence_folder("depth")
        'depth.confidence'
    """
    return f"{task}.confidence"


def confidence_of(label: Path, task: str) -> Path | None:
    """The file of the confidence of a label `…/TASK/….png`; None if there is none."""
    for place in label.parents:
        if place.name == task:
            folder = place.with_name(confidence_folder(task))
            beside = folder / label.relative_to(place)
            for extension in EXTENSIONS:
                if beside.with_suffix(extension).is_file():
                    return beside.with_suffix(extension)
    return None


def read_confidence(path: Path, size: Size, no_mask: bool = False) -> Floats32:
    """The confidence [h, w], from 0 to 1, in a file of 8 or 16 bits or of floating point.

    Raises:
        LabelError: it cannot be read, has another size, or numbers outside of 0 to 1; or, with
            `no_mask`, of 8 or 16 bits only 0 and 1, which mean next to nothing.
    """
    with label_of(size):
        confidence = _shares(path, "A confidence map", no_mask)
    if confidence.shape != size:
        raise LabelError(
            f"The confidence map is {shape_text(confidence)}; the label is {size[0]}x{size[1]}.",
            where=path,
            next_step="Write it at the size of the image.",
        )
    return confidence


def read_grades(path: Path) -> LabelArray:
    """The binary map of grades from 0 to 1: yes from 0.5 up.

    Raises:
        LabelError: it cannot be read, or has numbers outside of 0 to 1.
    """
    grades = _shares(path, "A map of grades")
    positive = (grades >= 0.5).astype(np.float32)
    return LabelArray(positive[..., None], np.ones(grades.shape, np.bool_))


def grades_confidence(path: Path, size: Size, no_mask: bool = False) -> Floats32:
    """The confidence [h, w] of a binary map of grades: how near each is to 0 or 1."""
    return np.abs(2 * read_confidence(path, size, no_mask) - 1)


def as_bytes(shares: Floats32) -> Bytes:
    """Numbers from 0 to 1 as 8 bits, as `read_confidence` reads these."""
    return np.rint(255 * shares).astype(np.uint8)


def _shares(path: Path, noun: str, no_mask: bool = False) -> Floats32:
    stored: Array = one_channel(samples(path), path, noun)
    if stored.dtype == np.bool_:
        return stored.astype(np.float32)
    if stored.dtype.kind == "u":
        if no_mask and stored.max() == 1:
            raise LabelError(
                f"{noun} holds only 0 and 1, of {np.iinfo(stored.dtype).max}.",
                where=path,
                next_step="Write the largest number where it is sure, or floating point.",
            )
        return stored.astype(np.float32) / np.float32(np.iinfo(stored.dtype).max)
    values = stored.astype(np.float32)
    if stored.dtype.kind != "f" or not ((values >= 0) & (values <= 1)).all():
        raise LabelError(
            f"{noun} has numbers from 0 to 1; this one is {shape_text(stored)}, from "
            f"{values.min():g} to {values.max():g}.",
            where=path,
            next_step="Write floating point from 0 to 1, or whole numbers of 8 or 16 bits.",
        )
    return values
