"""Defines makers of partitions: plug-ins that divide an image into regions."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from labelgrid.basics import plugins
from labelgrid.basics.array_types import Bytes
from labelgrid.basics.config import parse
from labelgrid.basics.errors import RecipeError
from labelgrid.basics.type_names import Size, Values
from labelgrid.formats.naming import label_name
from labelgrid.regions.partition import Partition
from labelgrid.tasks.task import TaskDef


@dataclass(frozen=True, kw_only=True)
class ImageToDivide:
    """An image that a maker divides.

    Args:
        image_id: the image's id.
        size: height and width.
        read: decodes the image, uint8 [h, w, 3]; not every maker needs the pixels.
        whole: whether files named after the image keep its extension, see `whole_names`.
    """

    image_id: str
    size: Size
    read: Callable[[], Bytes]
    whole: bool = False

    def path(self, folder: Path, extension: str) -> Path:
        """The file in a folder that is named after the image, as label files are."""
        return folder / label_name(self.image_id, extension, self.whole)


class PartitionMaker(Protocol):
    """Divides images into regions.

    A plug-in of `labelgrid.regions.makers` has a frozen dataclass `Options`, and a function
    `build(options)`. Makers are pickled for other processes.
    """

    @property
    def follows_image(self) -> bool:
        """Whether borders of regions lie where the image changes, or may lie there."""

    @property
    def version(self) -> str:
        """The release of the code, and of libraries, that partitions depend on."""

    def make(self, image: ImageToDivide) -> Partition:
        """The partition of an image: the same each time.

        Raises:
            LabelgridError: this image cannot be divided.
        """


def build_maker(name: str, options: Values) -> PartitionMaker:
    """Build a maker, with checked options.

    Raises:
        LabelgridError: there is none of this name, an option is wrong, or a package is missing.
    """
    plugins.resolve("partitions", name)  # makers are pickled: their classes are of the whole module
    kind = plugins.options_class("partitions", name)
    checked = parse(kind, options, f"options of the maker of partitions '{name}'")
    maker: PartitionMaker = plugins.create("partitions", name, checked)
    return maker


def divide(maker: PartitionMaker, image: ImageToDivide) -> Partition:
    """Make the partition of an image, and check the size.

    Raises:
        LabelgridError: the image cannot be divided, or the partition is of another size.
    """
    partition = maker.make(image)
    partition.check_size(image.size)
    return partition


def check_task(task: TaskDef, name: str, maker: PartitionMaker) -> None:
    """Refuse a maker whose regions are not what labels of a task can be bought by.

    Raises:
        RecipeError: the task's labels are bought whole, or not by regions that follow the image.
    """
    if task.spec.regions == "none":
        raise RecipeError(
            f"Labels of '{task.name}' are bought whole: the kind '{task.kind}' takes no regions.",
            next_step="Leave the task out, or buy whole labels.",
        )
    if task.spec.regions == "blind" and maker.follows_image:
        raise RecipeError(
            f"Labels of '{task.name}' cannot be bought by '{name}': these regions end where the "
            "image changes, and what the task asks for would lie on their borders.",
            next_step="Choose a maker that does not follow the image, such as squares.",
        )
