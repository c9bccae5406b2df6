"""Defines the laws of makers of partitions, functions that raise AssertionError for a breach.

A module may tell options: `options(folder, images)` returns these, and writes into a folder what the
maker needs of images, which are arrays by id. It must where an option has no default.
"""

import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from labelgrid.basics import plugins
from labelgrid.basics.array_types import Bytes
from labelgrid.basics.type_names import Size
from labelgrid.regions.maker import ImageToDivide, PartitionMaker, build_maker
from labelgrid.regions.partition import Partition
from labelgrid.testing.laws import WATCH, NotForItError, Subject, expect, run_alone

#: The sizes of the images that makers divide: a photograph's form, and forms that are rare.
SIZES = {"room/a.jpg": (60, 80), "b.png": (1, 1), "c.png": (1, 500), "d.tif": (37, 5)}
#: An image of one grey.
GREY = "grey.png"
#: Builds a maker where torch cannot be imported.
ALONE = f"""{WATCH}
import json
from labelgrid.regions.maker import build_maker
build_maker(sys.argv[1], json.loads(sys.argv[2]))
sys.exit("torch was asked for" if Watch.asked else 0)
"""


@dataclass(frozen=True)
class PartitionCase:
    """A maker of partitions, and images.

    Args:
        name: the name of the plug-in, or "package.module:object".
        values: its options.
        images: the pixels of images by id; read-only.
    """

    name: str
    values: Mapping[str, Any]
    images: Mapping[str, Bytes] = field(repr=False)

    @property
    def maker(self) -> PartitionMaker:
        return build_maker(self.name, self.values)

    def partitions(self, maker: PartitionMaker) -> dict[str, Partition]:
        """The partition that a maker returns for each image, checked for the type."""
        made = {}
        for image_id in self.images:
            partition = maker.make(self.image(image_id))
            expect(
                isinstance(partition, Partition),
                f"`make` of {self.name} must return a `Partition`, such as of `Partition.of`; it "
                f"returned {type(partition).__name__}.",
            )
            made[image_id] = partition
        return made

    def image(self, image_id: str, other: Bytes | None = None) -> ImageToDivide:
        """An image as makers get them, by default with the pixels of the case."""
        pixels = self.images[image_id] if other is None else other
        size = (pixels.shape[0], pixels.shape[1])
        return ImageToDivide(image_id=image_id, size=size, read=partial(np.asarray, pixels))


def made_images() -> dict[str, Bytes]:
    """Images of soft colours, read-only."""
    images = {image_id: _soft_colours(size) for image_id, size in SIZES.items()}
    images[GREY] = np.full((20, 30, 3), 90, np.uint8)
    for pixels in images.values():
        pixels.flags.writeable = False
    return images


def _soft_colours(size: Size) -> Bytes:
    rows = np.linspace(0, 3, size[0])[:, None, None]
    columns = np.linspace(0, 5, size[1])[None, :, None]
    waves = np.sin(rows + columns * np.array([1.0, 1.7, 0.4]))
    return (127 + 120 * waves).astype(np.uint8)


def case_of(subject: Subject, place: Path) -> PartitionCase:
    """A maker with the options of the author, or with the defaults."""
    images = made_images()
    options = fields(plugins.options_class("partitions", subject.name))
    tell = subject.says("options")
    if any(one.default is MISSING and one.default_factory is MISSING for one in options):
        tell = subject.demand("options", "a function of a folder and of images, by id")
    return PartitionCase(subject.name, tell(place, images) if tell else {}, images)


def it_says_what_its_partitions_depend_on(case: PartitionCase) -> None:
    maker = case.maker
    expect(
        isinstance(maker.version, str) and maker.version.strip(),
        f"`version` of {case.name} must be a text, such as '1'; it is {maker.version!r}.",
    )
    expect(
        isinstance(maker.follows_image, bool),
        f"`follows_image` of {case.name} must be true or false; it is {maker.follows_image!r}.",
    )


def a_partition_has_the_size_of_its_image(case: PartitionCase) -> None:
    for image_id, partition in case.partitions(case.maker).items():
        size = case.image(image_id).size
        expect(
            partition.size == size,
            f"`make` of {case.name} must return a partition of {size} for '{image_id}'; it is of "
            f"{partition.size}.",
        )


def regions_are_numbered_in_the_order_of_their_pixels(case: PartitionCase) -> None:
    for image_id, partition in case.partitions(case.maker).items():
        right = Partition.of(partition.ids)
        same = np.array_equal(right.ids, partition.ids)
        expect(
            same and np.array_equal(right.areas, partition.areas),
            f"Regions of '{image_id}' by {case.name} must be numbered from 1 in the order of their "
            "first pixels, with the right areas: use `Partition.of`.",
        )


def an_image_has_the_same_partition_each_time(case: PartitionCase) -> None:
    maker = case.maker
    again = case.partitions(case.maker)
    for made in (case.partitions(maker), case.partitions(maker)):
        for image_id, partition in made.items():
            expect(
                partition.digest == again[image_id].digest,
                f"`make` of {case.name} must return the same partition of '{image_id}' each time.",
            )


def it_is_the_same_in_another_process(case: PartitionCase) -> None:
    maker = case.maker
    try:
        content = pickle.dumps(maker)
    except Exception as error:
        raise AssertionError(
            f"{case.name} must be pickled for other processes; it raised {error!r}."
        ) from error
    here = case.partitions(maker)
    for image_id, partition in case.partitions(pickle.loads(content)).items():  # noqa: S301 - just pickled
        expect(
            partition.digest == here[image_id].digest,
            f"{case.name} must make the same partition of '{image_id}' after it was pickled.",
        )


def what_it_does_not_follow_changes_nothing(case: PartitionCase) -> None:
    maker = case.maker
    if maker.follows_image:
        raise NotForItError("its regions follow the image")
    for image_id, partition in case.partitions(maker).items():
        other = maker.make(case.image(image_id, 255 - case.images[image_id]))
        expect(
            other.digest == partition.digest,
            f"{case.name} does not follow the image, so that other pixels must not change the "
            f"partition of '{image_id}'.",
        )


def the_images_stay_as_they_are(case: PartitionCase) -> None:
    try:
        case.partitions(case.maker)
    except ValueError as error:
        raise AssertionError(
            f"`make` of {case.name} must not write into the image; it raised {error!r}."
        ) from error


def it_does_not_import_torch(case: PartitionCase) -> None:
    run = run_alone(ALONE, case.name, json.dumps(dict(case.values), default=str))
    expect(
        run.returncode == 0,
        f"{case.name} must be built without torch; it ended with {run.returncode}: "
        f"{run.stderr[-400:]}",
    )


LAWS: tuple[Callable[[PartitionCase], None], ...] = (
    it_says_what_its_partitions_depend_on,
    a_partition_has_the_size_of_its_image,
    regions_are_numbered_in_the_order_of_their_pixels,
    an_image_has_the_same_partition_each_time,
    it_is_the_same_in_another_process,
    what_it_does_not_follow_changes_nothing,
    the_images_stay_as_they_are,
    it_does_not_import_torch,
)
