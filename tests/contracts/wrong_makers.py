"""Makers that each break one law: a right one with one fault."""

from collections.abc import Mapping
from typing import Any

import cv2

from labelgrid.project.sources import ImageFiles
from tests.makers.bright_depth import model as model
from tests.plugins.bright_depth import BrightDepth as Right
from tests.plugins.bright_depth import Options as Options


class Nameless(Right):
    """Says no revision."""

    declared: Mapping[str, Any] = {"settings": {"maker": "nameless"}}


class Elsewhere(Right):
    """Names a task that the project does not have."""

    files: Mapping[str, str] = {"flow": ".npy"}


class Forgetful(Right):
    """Leaves an image out, and does not say why."""

    def make(self, images: ImageFiles, *others: Any) -> Mapping[str, str]:
        faults = super().make(images, *others)
        place, _ = others
        place.path("depth", next(iter(images.images())), ".npy").unlink(missing_ok=True)
        return faults


class Small(Right):
    """Makes labels of half the size."""

    def changed(self, depth: Any) -> Any:
        return cv2.resize(depth, None, fx=0.5, fy=0.5)


class Counting(Right):
    """Adds up what it has seen."""

    def make(self, images: ImageFiles, *others: Any) -> Mapping[str, str]:
        self.seen = 0
        return super().make(images, *others)

    def changed(self, depth: Any) -> Any:
        self.seen += 1
        return depth + self.seen


class Fragile(Right):
    """Ends at the first image that it cannot read."""

    def make(self, images: ImageFiles, *others: Any) -> Mapping[str, str]:
        for image_id in images.images():
            images.image(image_id)
        return super().make(images, *others)


class Held(Right):
    """Keeps a function, which cannot be pickled."""

    def __init__(self, *_: Any) -> None:
        self.kept = lambda depth: depth


#: By law, the maker that breaks it, and words of what its author is told.
BREAKS: Mapping[str, tuple[type[Right], str]] = {
    "its_labels_are_those_of_a_supplier": (Nameless, "must have a `revision`"),
    "its_files_are_of_tasks_of_the_project": (Elsewhere, "must name tasks of the project"),
    "each_image_has_its_labels_or_a_fault_and_is_reported_once": (Forgetful, "neither"),
    "its_labels_can_be_imported": (Small, "they are refused"),
    "an_image_has_the_same_labels_alone_and_among_others": (Counting, "the same bytes"),
    "an_image_that_cannot_be_read_is_a_fault_and_the_others_are_labelled": (
        Fragile,
        "no image|cannot be read|damaged",
    ),
    "it_is_the_same_in_another_process": (Held, "must be pickled"),
}
