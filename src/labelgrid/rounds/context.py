"""Builds the context of a round's steps: recipe, tasks, images and labels."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

from labelgrid.basics.camera import Camera
from labelgrid.basics.config import parse
from labelgrid.basics.errors import ImageError
from labelgrid.basics.type_names import Size, Values
from labelgrid.data.dataset import camera_of, size_of
from labelgrid.data.project_source import ProjectSource
from labelgrid.ledger.grid import Cell, ImageRow, Split, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import Fit
from labelgrid.project.sources import OracleSource, source_of
from labelgrid.recipes.recipe import PluginChoice, Recipe
from labelgrid.recipes.resolve import check_encoder, check_options, load_recipe, override
from labelgrid.relations.bound import BoundRelation, bind_relations
from labelgrid.suppliers.supplied import BoundSupplier, bind_suppliers, trust_by_supplier
from labelgrid.tasks.task import Task, TaskDef, build_all


@dataclass(frozen=True)
class ImageCameras:
    """Finds the camera of each image once, since it may lie in the image's file.

    Args:
        images: a function that reads the images' rows in the ledger.
        source: reads what those do not say.
    """

    images: Callable[[], Iterable[ImageRow]]
    source: ProjectSource | OracleSource
    _found: dict[str, Camera | None] = field(default_factory=dict, init=False, repr=False)

    def camera(self, image_id: str) -> Camera | None:
        """The camera of an image in its own pixels.

        None if it is unknown, or if the image cannot be read.
        """
        if image_id not in self._found:
            try:
                camera = camera_of(self.source, image_id, self.size(image_id))
            except ImageError:
                camera = None
            self._found[image_id] = camera
        return self._found[image_id]

    def is_known(self, image_id: str) -> bool:
        """Whether there is a camera of an image."""
        return self.camera(image_id) is not None

    def size(self, image_id: str) -> Size:
        """The height and width of an image.

        Raises:
            ImageError: the ledger does not know it, and the image cannot be read.
        """
        size = self._sizes.get(image_id, (0, 0))
        if not all(size):  # of a simulated campaign, or of an image that was not checked
            size = size_of(self.source, image_id)
        return size

    @cached_property
    def _sizes(self) -> dict[str, Size]:
        return {row.image_id: (row.height, row.width) for row in self.images()}


@dataclass(frozen=True, kw_only=True)
class ModelContext:
    """The recipe, tasks and seed that a network is built from, without a project.

    Args:
        recipe: the project's current recipe, or that of a training.
        definitions: the tasks as the project declares them, by name.
        tasks: the tasks with the recipe's losses, by name.
        seed: the seed of the project, or of a training.
        features: the folder of the maps of frozen encoders; None: maps are not kept.
        encoders: the folder of frozen encoders; None: checkpoints hold them.
    """

    recipe: Recipe
    definitions: dict[str, TaskDef]
    tasks: dict[str, Task]
    seed: int
    features: Path | None = None
    encoders: Path | None = None

    @classmethod
    def of_training(
        cls,
        recipe: Recipe,
        definitions: dict[str, TaskDef],
        seed: int,
        *,
        encoders: Path,
        features: Path | None = None,
    ) -> "ModelContext":
        """The context of a training, whose recipe may name losses of tasks that were dropped."""
        tasks = tasks_of(recipe, definitions)
        return cls(
            recipe=recipe,
            definitions=definitions,
            tasks=tasks,
            seed=seed,
            features=features,
            encoders=encoders,
        )


@dataclass(frozen=True, kw_only=True)
class RoundContext(ModelContext):
    """The context of every step of a round.

    Args:
        project: the project.
        source: the project's current images and labels.
    """

    project: ProjectFolder
    source: ProjectSource | OracleSource

    @cached_property
    def relations(self) -> list[BoundRelation]:
        """The recipe's relations that are on, the most trusted first."""
        return bind_relations(self.recipe.relations, self.definitions)

    @cached_property
    def cameras(self) -> ImageCameras:
        """The cameras of the images."""
        return ImageCameras(self.project.store.images, self.source)

    @cached_property
    def suppliers(self) -> list[BoundSupplier]:
        """The suppliers that the recipe trusts."""
        return bind_suppliers(self.project, self.recipe.suppliers, self.definitions)


def recipe_of(
    project: ProjectFolder, recipe: str = "", changes: dict[str, object] | None = None
) -> Recipe:
    """Load the recipe of a project's settings.

    `recipe` and `changes` (from the command line) override them.
    """
    settings = project.settings
    overrides = override(settings.changes, changes or {})
    return load_recipe(recipe or settings.recipe, overrides, beside=project.folder)


def context_of(
    project: ProjectFolder, recipe: str = "", changes: dict[str, object] | None = None
) -> RoundContext:
    """The context of a project.

    `recipe` and `changes` (from the command line) override its settings.
    """
    return context_for_recipe(project, recipe_of(project, recipe, changes))


def context_for_recipe(project: ProjectFolder, recipe: Recipe) -> RoundContext:
    """The context of a project with a given recipe in place of the current one."""
    for folder, tables in (("statistics", recipe.score), ("terms", recipe.terms)):
        for name, options in tables.items():
            check_options(folder, PluginChoice(name, options))
    check_encoder(recipe)
    definitions = project.tasks()
    tasks = build_all(definitions, recipe.objective.losses)
    bind_relations(recipe.relations, definitions)  # refuses wrong ones
    trust_by_supplier(project, recipe.suppliers, definitions)
    return RoundContext(
        project=project,
        recipe=recipe,
        definitions=definitions,
        tasks=tasks,
        source=source_of(project),
        seed=project.settings.seed,
        features=project.features,
        encoders=project.encoders,
    )


def training_context(context: RoundContext, fit: Fit, score: Values | None = None) -> RoundContext:
    """The context with the recipe and the seed of a training.

    `score` replaces the recipe's [score].
    """
    tables = dict(fit.recipe)
    if score is not None:
        tables["score"] = score
    recipe = parse(Recipe, tables, "fit.json")
    tasks = tasks_of(recipe, context.definitions)
    return replace(context, recipe=recipe, tasks=tasks, seed=fit.seed)


def tasks_of(recipe: Recipe, definitions: dict[str, TaskDef]) -> dict[str, Task]:
    """The tasks with a recipe's losses; losses of dropped tasks are left out."""
    losses = recipe.objective.losses or {}
    present = {name: loss for name, loss in losses.items() if name in definitions}
    return build_all(definitions, present)


def labelled_images(project: ProjectFolder, split: Split) -> list[str]:
    """The sorted ids of the images of a split with at least one label, whole or in part."""
    cells = project.store.cells(state=State.LABELLED, splits=(split,))
    parts = project.store.parts(state=State.LABELLED, splits=(split,))
    return sorted({row.cell.image_id for row in chain(cells, parts)})


def tasks_by_image(cells: Iterable[Cell]) -> dict[str, frozenset[str]]:
    """The tasks of each image's cells; equal sets are one object.

    Example:
        >>> cells = [Cell("a.png", "depth"), Cell("a.png", "edges"), Cell("b.png", "depth")]
        >>> tasks = tasks_by_image(cells)
        >>> sorted(tasks["a.png"]), sorted(tasks["b.png"])
        (['depth', 'edges'], ['depth'])
    """
    by_image: dict[str, frozenset[str]] = {}
    objects: dict[frozenset[str], frozenset[str]] = {}
    for cell in cells:
        tasks = by_image.get(cell.image_id, frozenset()) | {cell.task}
        by_image[cell.image_id] = objects.setdefault(tasks, tasks)
    return by_image
