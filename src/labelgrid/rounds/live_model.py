"""Trains a network in memory on a project's newest labels, a few steps at a time.

The model is no round's: nothing is recorded, and it scores nothing.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from labelgrid.basics.errors import LabelgridError
from labelgrid.basics.progress import Progress
from labelgrid.basics.streams import seed_of, stream
from labelgrid.data.batch import Batch, Item, collate
from labelgrid.data.dataset import Source
from labelgrid.data.loader import read_view
from labelgrid.ledger.grid import Cell
from labelgrid.nets.network import Network
from labelgrid.project.declaration_changes import target_declarations
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.recipe import Recipe
from labelgrid.recipes.resolve import has_own_encoder, load_recipe
from labelgrid.rounds.context import RoundContext, context_for_recipe, labelled_images
from labelgrid.rounds.fit import plan_of
from labelgrid.rounds.models import new_network
from labelgrid.rounds.outputs import skip_unwritable, write_label
from labelgrid.train.evaluation import predictions
from labelgrid.train.plan import Plan
from labelgrid.train.trained_model import TrainedModel
from labelgrid.train.trainer import Means, Trainer

#: The recipe of projects whose own recipe trains the encoder, too.
INSTANT = "instant"
#: What a file of weights is for.
ENCODER = ("name", "pretrained", "upsample", "output_stride", "pyramid")
#: Steps after a new label, where the recipe counts epochs, and those that measure the speed.
STEPS = 200
FIRST = 8
#: Seconds that one call of `learn` may take, about.
SECONDS = 1.0
#: Views of an image, where the recipe draws new ones each time.
VIEWS = 4
#: Bytes of views in memory.
MEMORY = 2**30

#: An image, and the number of one of its views.
View = tuple[str, int]


def live_recipe(project: ProjectFolder) -> Recipe:
    """The project's recipe if its encoder is frozen, else `instant` with the project's encoder.

    Terms, relations, suppliers and ever new views, which take time, are left out.

    Raises:
        RecipeError: the recipe is wrong.
    """
    recipe = project.recipe()
    if recipe.backbone.train != "frozen":
        options = {} if has_own_encoder(recipe.network.name) else asdict(recipe.backbone)
        encoder = {name: options[name] for name in ENCODER if name in options}
        instant = load_recipe(INSTANT)
        scaled = replace(instant.data, mean=recipe.data.mean, std=recipe.data.std)
        recipe = replace(instant, backbone=replace(instant.backbone, **encoder), data=scaled)
    data = replace(recipe.data, kept_views=recipe.data.views or VIEWS)
    train = replace(
        recipe.train,
        steps=recipe.train.steps or STEPS,
        label_visits=0.0,
        fill="images",
        mix="none",
        images="labelled",
        labelled_share=0.0,
        val_share=0.0,
        compile=False,
    )
    return replace(recipe, data=data, train=train, terms={}, relations={}, suppliers={})


class LiveModel:
    """A network that learns the labels of training images, ever on from the same weights.

    Args:
        project: an open project.
        progress: is told of labels that cannot be read.

    Attributes:
        losses: the mean losses of the last steps, by task.
        learnt: the tasks that the network has learnt.
    """

    def __init__(self, project: ProjectFolder, progress: Progress) -> None:
        self.project = project
        self.progress = progress
        self.recipe = live_recipe(project)
        self.losses: dict[str, float] = {}
        self.learnt: frozenset[str] = frozenset()
        self._context: RoundContext | None = None
        self._network: Network | None = None
        self._digests: dict[Cell, str] = {}
        self._items: dict[View, Item] = {}
        self._unread: dict[str, str] = {}
        self._order: Iterator[View] = iter(())
        self._left = 0
        self._parts = 0
        self._speed = FIRST / SECONDS

    @property
    def labels(self) -> int:
        """How many cells of training images have a label that can be read."""
        return sum(cell.image_id not in self._unread for cell in self._digests)

    @property
    def learns(self) -> bool:
        """Whether steps are left after the newest label."""
        return self._left > 0

    @property
    def learnt_images(self) -> set[str]:
        """The ids of labelled training images, without unreadable ones."""
        return {cell.image_id for cell in self._digests} - self._unread.keys()

    @property
    def context(self) -> RoundContext:
        """The recipe, the tasks, the images and the labels, as they were last taken."""
        assert self._context
        return self._context

    @property
    def source(self) -> Source:
        """Reads photographs and labels."""
        return self.context.source

    @property
    def network(self) -> Network:
        """The trained module."""
        assert self._network
        return self._network

    def take(self) -> bool:
        """Take the present labels of the ledger; false if none differs from before.

        Raises:
            LabelgridError: the network cannot be built, such as without its encoder's weights.
        """
        with self.project.store.steady():
            context = context_for_recipe(self.project, self.recipe)
            training = set(labelled_images(self.project, "train"))
        digests = {}
        for cell, label in context.source.labels.items():
            if cell.image_id in training and cell.task in context.definitions:
                digests[cell] = label.digest
        is_other = self._context is None or _declared(context) != _declared(self._context)
        if digests == self._digests and not (is_other and digests):
            return False
        images = {cell.image_id for cell in digests}
        changed = {cell.image_id for cell, _ in digests.items() ^ self._digests.items()}
        self._context = context
        self._digests = digests
        if is_other:
            changed = images
            self._network = new_network(context, self.progress)
        for view in [view for view in self._items if view[0] in changed]:
            del self._items[view]
        self._unread.clear()
        self._order = self._views(sorted(images), first=sorted(changed & images))
        self._left = self.recipe.train.steps if images else 0
        if is_other or not images:
            self.learnt = frozenset()
        return True

    def learn(self) -> None:
        """Train for about `SECONDS`; the learning rate falls meanwhile.

        Raises:
            TrainingError: a loss is not finite.
        """
        steps = min(max(round(self._speed * SECONDS), FIRST), self._left)
        plan = self._plan(steps)
        trainer = Trainer(plan)
        self.network.train()
        losses = Means()
        began = time.perf_counter()
        for number in range(steps):
            batch = self._batch()
            if batch is None:
                self._left = 0
                return
            values, present, _ = trainer.train_step(batch.to(trainer.fabric.device), number)
            losses.add(values, dict(zip(values, present.sum(0).tolist(), strict=True)))
        self._speed = steps / (time.perf_counter() - began)
        self._left -= steps
        self.losses = losses.means()
        self.learnt = frozenset(self.losses)

    def predict(self, image_id: str, paths: Mapping[str, Path]) -> None:
        """Write the predictions of an image as label files, by task.

        Raises:
            LabelgridError: the image cannot be read, or the disk reports an error.
        """
        context = self.context
        model = TrainedModel(network=self.network)
        made = predictions(
            model,
            context.definitions,
            source=self.source,
            image_ids=[image_id],
            data=context.recipe.data,
        )
        for _, raws, frame in made:
            for task, path in paths.items():
                with skip_unwritable(self.progress, f"No live prediction of {task}"):
                    write_label(
                        context.tasks[task],
                        context.definitions[task],
                        raw=raws[task],
                        frame=frame,
                        path=path,
                    )

    def _plan(self, steps: int) -> Plan:
        images = sorted({cell.image_id for cell in self._digests})
        plan = plan_of(self.context, self.network, start="live", splits=(images, []))
        self._parts += 1
        seed = seed_of(plan.seed, "live", self._parts)  # not the same draws again
        return replace(plan, options=replace(plan.options, steps=steps), seed=seed)

    def _views(self, images: Sequence[str], first: Sequence[str]) -> Iterator[View]:
        """Yield views in passes over all images in random order, without end; new labels first."""
        draws = stream(self.context.seed, "live", len(self._digests))
        views = [(image_id, n) for image_id in images for n in range(self.recipe.data.kept_views)]
        yield from ((image_id, 0) for image_id in first)
        while views:
            for place in draws.permutation(len(views)):
                yield views[place]

    def _batch(self) -> Batch | None:
        """The next images with their labels; None if no label can be read."""
        context = self.context
        items: list[Item] = []
        images = {cell.image_id for cell in self._digests}
        for image_id, number in self._order:
            if images <= self._unread.keys():
                return None
            if image_id not in self._unread:
                item = self._item(image_id, number)
                items += [item] if item else []
            if len(items) == self.recipe.train.batch:
                break
        return collate(items, context.definitions, context.recipe.data)

    def _item(self, image_id: str, number: int) -> Item | None:
        """A view, read once while there is room in the memory; None if it cannot be read."""
        view = image_id, number
        if view in self._items:
            return self._items[view]
        context = self.context
        try:
            item = read_view(
                self.source, context.definitions, image_id, context.recipe.data, number=number
            )
        except LabelgridError as error:
            self._unread[image_id] = error.what
            self.progress.say(f"{image_id} is left out: {error.what}")
            return None
        height, width = context.recipe.data.size
        if len(self._items) * height * width * (3 + 8 * len(context.tasks)) < MEMORY:
            self._items[view] = item
        return item


def _declared(context: RoundContext) -> object:
    return target_declarations(context.definitions)
