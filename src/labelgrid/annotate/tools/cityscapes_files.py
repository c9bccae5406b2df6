"""Reads class maps of Cityscapes: files `IMAGE_gtFine_labelIds.png` and `IMAGE_labelTrainIds.png`.

Their numbers are matched with a task's classes by the published names. Names that the benchmark
leaves out are not labelled if no task has them.
"""

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np

from labelgrid.annotate.answers import Answers, Fault
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.image_names import ImageNames
from labelgrid.annotate.mask_files import Masks, head_of_first, png_names
from labelgrid.annotate.region_answers import DrawnImage, Shape, region_answers
from labelgrid.basics.errors import LabelError
from labelgrid.basics.recognition import Recognition
from labelgrid.basics.words import join_names
from labelgrid.formats.cityscapes_ids import EVALUATED, IGNORED, NAMES, NOT_EVALUATED, PLATE

#: A file's image, and what its numbers are.
_FILE = re.compile(r"(.+?)(_gtFine|_gtCoarse|)_(labelIds|labelTrainIds)\.png")
#: Of several files of an image the first of these is read.
_BEST = ("_gtFine_labelIds", "_gtCoarse_labelIds", "_labelIds", "_gtFine_labelTrainIds")
#: The ends that the names of images have.
_IMAGE_ENDS = ("_leftImg8bit", "")
#: -1 in files of 8 and of 16 bits.
_MINUS_ONE = {1: 255, 2: 65535}


class CityscapesFilesConnector:
    """Reads folders of Cityscapes' class maps. It only receives.

    See `labelgrid.annotate.connector.Connector`.
    """

    def receive(self, answer: Path, index: ProjectIndex) -> Answers:
        """Read the class maps of a folder; an image may be named with `_leftImg8bit` or without.

        Where an image has several files, `labelIds` are read, and of these the fine ones.
        """
        names = _best_names(png_names(answer))
        if not names:
            raise LabelError(
                "There are no files IMAGE_gtFine_labelIds.png or IMAGE_labelTrainIds.png.",
                where=answer,
                next_step="Name the folder gtFine.",
            )
        finder = index.image_names()
        masks = Masks(answer)
        images = []
        faults = []
        for image, name in names.items():
            try:
                images.append(_drawn(_name_of(image, finder), name, masks, finder))
            except LabelError as error:
                faults.append(Fault.of_error(name, error))
        answers = region_answers(images, index)
        answers.faults += faults
        return answers

    def recognise(self, path: Path) -> Recognition | None:
        """Recognise a folder by the first file with a name of Cityscapes."""
        head = head_of_first(path, _FILE.fullmatch)
        if head is None or head.channels != 1 or head.palette:
            return None
        return Recognition("Cityscapes class maps", 0.9)


build = CityscapesFilesConnector


def _best_names(names: Iterable[str]) -> dict[str, str]:
    best: dict[str, tuple[int, str]] = {}
    for name in names:
        match = _FILE.fullmatch(name)
        if match:
            image, made, kind = match.groups()
            ending = f"{made}_{kind}"
            rank = _BEST.index(ending) if ending in _BEST else len(_BEST)
            if image not in best or rank < best[image][0]:
                best[image] = (rank, name)
    return {image: name for image, (_, name) in best.items()}


def _name_of(image: str, finder: ImageNames) -> str:
    """The name of an image in the project; first with its folders, then without."""
    for start in (image, image.rpartition("/")[2]):
        for end in _IMAGE_ENDS:
            if finder.find(f"{start}{end}.png"):
                return f"{start}{end}.png"
    return f"{image}.png"


def _drawn(image: str, name: str, masks: Masks, finder: ImageNames) -> DrawnImage:
    """The classes in a file; none are read for an image that the project does not have."""
    shapes = []
    if finder.find(image):
        numbers = masks.numbers(name)
        if numbers.ndim != 2 or numbers.dtype.kind != "u":
            raise LabelError("It is no map of numbers.", next_step="Get the file again.")
        names = dict(NAMES)
        if name.endswith("_labelTrainIds.png"):
            names = {index: NAMES[number] for index, number in enumerate(EVALUATED)}
            names[NOT_EVALUATED] = NAMES[0]
        names.setdefault(_MINUS_ONE[numbers.dtype.itemsize], PLATE)
        present = np.unique(numbers).tolist()
        unknown = [str(number) for number in present if number not in names]
        if unknown:
            raise LabelError(
                f"Cityscapes does not define the numbers {join_names(unknown, 5)}.",
                next_step="Get the file again.",
            )
        for number in present:
            region = names[number]
            paint = partial(masks.paint_number, name, number)
            shapes.append(Shape(region, paint, optional=region in IGNORED))
    return DrawnImage(image=image, where=name, size=masks.size(name), shapes=shapes)
