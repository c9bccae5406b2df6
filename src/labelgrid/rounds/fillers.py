"""Finds what fills the missing labels of training images: relations and suppliers."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from labelgrid.camera import Camera
from labelgrid.data.dataset import camera_of, size_of
from labelgrid.data.derived import Filler, add_supplied, derivable
from labelgrid.errors import ImageError, RecipeError
from labelgrid.progress import Progress
from labelgrid.project.known_cameras import camera_step
from labelgrid.relations.bound import BoundRelation
from labelgrid.rounds.context import RoundContext, tasks_by_image
from labelgrid.rounds.supplied import supplied_by_task
from labelgrid.words import join_names


@dataclass(frozen=True)
class Fillers:
    """What fills the missing labels of a project's training images."""

    context: RoundContext

    def by_image(self, image_ids: Collection[str]) -> dict[str, dict[str, Filler]]:
        """The most trusted filler of each missing label of some images, by image and task."""
        context = self.context
        fillers: dict[str, dict[str, Filler]] = {}
        for image_id, relations in self._derivable(image_ids).items():
            fillers[image_id] = dict(relations)
        if not context.suppliers:
            return fillers
        known = self._labelled(image_ids)
        labelled = {image_id: known.get(image_id, frozenset[str]()) for image_id in image_ids}
        supplied = supplied_by_task(
            context.project,
            context.suppliers,
            source=context.source,
            tasks=context.definitions,
            labelled=labelled,
        )
        add_supplied(fillers, supplied, labelled)
        return fillers

    def cameras(self, image_ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """The cameras through which labels of some images are derived, by image, as JSON values."""
        cameras = {}
        for image_id, relations in self._derivable(image_ids).items():
            camera = self.camera(image_id)
            if camera and any(relation.needs_camera for relation in relations.values()):
                cameras[image_id] = asdict(camera)
        return cameras

    def following(self, relation: BoundRelation, image_ids: Collection[str]) -> list[str]:
        """The images among some whose label follows by a relation, if their cameras are known."""
        labelled = self._labelled(image_ids)
        return [image_id for image_id, tasks in labelled.items() if relation.follows(tasks)]

    def camera(self, image_id: str) -> Camera | None:
        """The camera of an image in its own pixels; None if it is unknown."""
        return camera_of(self.context.source, image_id, self.size(image_id))

    def has_camera(self, image_id: str) -> bool:
        """Whether the camera of an image is known; that of one that cannot be read is not."""
        try:
            return self.camera(image_id) is not None
        except ImageError:
            return False

    def size(self, image_id: str) -> tuple[int, int]:
        """The height and width of an image."""
        size = self._sizes.get(image_id, (0, 0))
        if not all(size):  # of a simulated campaign, or of an image that was not checked
            size = size_of(self.context.source, image_id)
        return size

    @cached_property
    def _sizes(self) -> dict[str, tuple[int, int]]:
        """The sizes of the images, as far as the ledger knows them."""
        images = self.context.project.store.images()
        return {row.image_id: (row.height, row.width) for row in images}

    def _derivable(self, image_ids: Collection[str]) -> dict[str, dict[str, BoundRelation]]:
        """The missing labels of some images that follow from their others, by image and task."""
        if not self.context.relations:
            return {}
        labelled = self._labelled(image_ids)
        return derivable(self.context.relations, labelled, self.has_camera)

    def _labelled(self, image_ids: Collection[str]) -> dict[str, frozenset[str]]:
        """The tasks of the labels of some images."""
        used = set(image_ids)
        cells = (cell for cell in self.context.source.labels if cell.image_id in used)
        return tasks_by_image(cells)


def check_cameras(context: RoundContext, image_ids: Collection[str], progress: Progress) -> None:
    """Say in how many images a label follows; refuse a relation that no image has a camera for.

    Raises:
        RecipeError: the camera of no training image is known.
    """
    fillers = Fillers(context)
    for relation in context.relations:
        if not relation.needs_camera:
            continue
        images = fillers.following(relation, image_ids)
        lacking = [image_id for image_id in images if not fillers.has_camera(image_id)]
        if not lacking:
            continue
        height, width = fillers.size(lacking[0])
        first = f"such as that of '{lacking[0]}', {height}x{width}"
        reads = join_names([f"'{name}'" for name in relation.reads])
        known = len(images) - len(lacking)
        if known or _is_any_camera_known(fillers):
            progress.say(
                f"'{relation.gives}' follows from {reads} in {known:,} of {len(images):,} images; "
                f"the camera of {len(lacking):,} is unknown, {first}."
            )
            continue
        raise RecipeError(
            f"'{relation.gives}' follows from {reads} through the image's camera, and that of no "
            f"training image is known; {len(lacking):,} are needed, {first}.",
            where=f"relations.{relation.name}",
            next_step=camera_step(context.project),
            unchanged="Nothing was trained.",
        )


def _is_any_camera_known(fillers: Fillers) -> bool:
    """Whether the camera of any training image is known, with labels or without."""
    rows = fillers.context.project.store.images(("train",))
    return any(fillers.has_camera(row.image_id) for row in rows)
