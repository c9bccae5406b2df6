"""Finds the relations and suppliers that fill the missing labels of training images."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

from labelgrid.basics.errors import RecipeError
from labelgrid.basics.progress import Progress
from labelgrid.basics.type_names import Json
from labelgrid.basics.words import count_text, join_names
from labelgrid.data.dataset import nonempty_label
from labelgrid.data.derived import (
    Filler,
    SuppliedRelation,
    add_supplied,
    add_supplied_relations,
    derivable,
    shifted_text,
)
from labelgrid.project.images.known_cameras import camera_step
from labelgrid.relations.bound import BoundRelation
from labelgrid.rounds.context import RoundContext, tasks_by_image
from labelgrid.suppliers.supplied import supplied_by_task

#: A true label that is valid in fewer pixels, as that of a sparse sensor, is no base of a relation
#: where a supplier gives the label, too.
SPARSE = 0.3


@dataclass(frozen=True)
class FilledLabels:
    """The missing labels of training images that relations and suppliers fill.

    Args:
        context: the project's context.
        image_ids: the images.
    """

    context: RoundContext
    image_ids: Sequence[str]

    def by_image(self) -> dict[str, dict[str, Filler]]:
        """The filler of each missing label, by image and task.

        What follows from true labels goes before what follows from labels of suppliers; otherwise
        the most trusted fills.
        """
        return self._fillers[0]

    @property
    def refused(self) -> Counter[tuple[str, str, str]]:
        """See `add_supplied_relations`."""
        return self._fillers[1]

    @cached_property
    def _fillers(self) -> tuple[dict[str, dict[str, Filler]], Counter[tuple[str, str, str]]]:
        context = self.context
        fillers: dict[str, dict[str, Filler]] = {}
        for image_id, relations in self._derivable.items():
            fillers[image_id] = dict(relations)
        if not context.suppliers:
            return fillers, Counter()
        labelled = dict.fromkeys(self.image_ids, frozenset[str]()) | self._labelled
        supplied = supplied_by_task(
            context.project,
            context.suppliers,
            source=context.source,
            tasks=context.definitions,
            labelled=labelled,
        )
        refused = add_supplied_relations(
            fillers,
            context.relations,
            supplied,
            labelled,
            has_camera=context.cameras.is_known,
            is_sparse=self._is_sparse,
        )
        add_supplied(fillers, supplied, labelled)
        return fillers, refused

    def _is_sparse(self, image_id: str, task: str) -> bool:
        context = self.context
        label = nonempty_label(context.source, image_id, context.definitions[task])
        return label is None or float(label.valid.mean()) < SPARSE

    @property
    def _on_supplied(self) -> Iterator[tuple[str, str, SuppliedRelation]]:
        for image_id, fillers in self.by_image().items():
            for task, filler in fillers.items():
                if isinstance(filler, SuppliedRelation):
                    yield image_id, task, filler

    def on_supplied(self) -> list[tuple[str, str, str, list[str]]]:
        """The labels derived from suppliers' labels: image, task, relation and suppliers."""
        rows = []
        for image_id, task, filler in self._on_supplied:
            names = [labels.supplier for labels in filler.supplied.values()]
            rows.append((image_id, task, filler.relation.name, names))
        return sorted(rows)

    def worth(self) -> dict[str, float]:
        """The worth of derived and supplied labels in bought ones, by task.

        A label counts by its trust times its coverage.
        """
        worth = defaultdict[str, float](float)
        for fillers in self.by_image().values():
            for task, filler in fillers.items():
                worth[task] += filler.trust * filler.coverage
        return dict(worth)

    def cameras(self) -> dict[str, Json]:
        """The cameras through which labels are derived, by image, as JSON values."""
        cameras = {}
        used = dict(self._derivable)
        for image_id, task, filler in self._on_supplied:
            used[image_id] = {**used.get(image_id, {}), task: filler.relation}
        for image_id, relations in used.items():
            camera = self.context.cameras.camera(image_id)
            if camera and any(relation.needs_camera for relation in relations.values()):
                cameras[image_id] = asdict(camera)
        return cameras

    def following(self, relation: BoundRelation) -> list[str]:
        """The images whose label follows by a relation, if their cameras are known."""
        labelled = self._labelled.items()
        image_ids = []
        for image_id, tasks in labelled:
            if relation.follows(tasks):
                image_ids.append(image_id)
        return image_ids

    @cached_property
    def _derivable(self) -> dict[str, dict[str, BoundRelation]]:
        """The relation of each missing label that follows, by image and task."""
        context = self.context
        if not context.relations:
            return {}
        return derivable(context.relations, self._labelled, context.cameras.is_known)

    @cached_property
    def _labelled(self) -> dict[str, frozenset[str]]:
        used = set(self.image_ids)
        cells = (cell for cell in self.context.source.labels if cell.image_id in used)
        return tasks_by_image(cells)


def say_refused(fillers: FilledLabels, progress: Progress) -> None:
    """Say which labels do not follow from suppliers' labels, true up to a shift only."""
    for (supplier, read, gives), count in sorted(fillers.refused.items()):
        progress.say(
            f"'{gives}' does not follow from '{read}' of {supplier} in "
            f"{count_text(count, 'image')}: {shifted_text(read, gives)}."
        )


def check_cameras(fillers: FilledLabels, progress: Progress) -> None:
    """Say in how many images a label follows; refuse a relation that no image has a camera for.

    Raises:
        RecipeError: the camera of no training image is known.
    """
    context = fillers.context
    cameras = context.cameras
    for relation in context.relations:
        if not relation.needs_camera:
            continue
        images = fillers.following(relation)
        lacking = [image_id for image_id in images if not cameras.is_known(image_id)]
        if not lacking:
            continue
        height, width = cameras.size(lacking[0])
        first = f"such as that of '{lacking[0]}', {height}x{width}"
        reads = join_names([f"'{name}'" for name in relation.reads])
        ready = len(images) - len(lacking)
        rows = context.project.store.images(("train",))  # some may have no label
        if ready or any(cameras.is_known(row.image_id) for row in rows):
            progress.say(
                f"'{relation.gives}' follows from {reads} in {ready:,} of {len(images):,} images; "
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
