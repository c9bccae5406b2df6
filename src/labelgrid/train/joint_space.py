"""Maps predictions of a task and labels of another into a joint space, where terms compare them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from labelgrid.basics.errors import RecipeError
from labelgrid.data.batch import Batch
from labelgrid.nets.network import EXAMPLE_SIDE, Network, Output, example_output
from labelgrid.nets.unpooling import initialise
from labelgrid.pixel.target import Targets, Tensors
from labelgrid.tasks.task import Tasks
from labelgrid.train.crop_boxes import crop_batch, draw_boxes, mirror_some
from labelgrid.train.idle_terms import SOURCES_ALL, say_if_idle
from labelgrid.train.inputs import label_maps, prediction_maps
from labelgrid.train.joint_options import JointOptions
from labelgrid.train.mappings import MAPPINGS, Norm
from labelgrid.train.objective import resize_output, targets_present
from labelgrid.train.pairs import Pairs, allowed_pairs, pairs_of
from labelgrid.train.step_draws import Draws
from labelgrid.train.term import Preparation, RateGroup, Step, Term, View

#: A batch, and the network's output for it.
Seen = tuple[Batch, Output]
#: Maps [m, c, h, w], and which of them each of several pairs has.
Rows = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Codes:
    """The maps of a batch's pairs in their joint spaces.

    Args:
        pairs: of the batch.
        sources: [p, d, h, w], of each source's prediction.
        targets: [p, d, h, w], of each target's label.
        features: [p, d, h', w'], of each pair's image the encoder's map with which the joint space
            is compared, without gradient.
    """

    pairs: Pairs
    sources: Tensor
    targets: Tensor
    features: Tensor


class JointTerm(Term):
    """A term that compares one task's prediction with another's label in their joint space.

    Subclasses define `compared`. With one task it does nothing, and says so.

    Args:
        name: of the term, for messages.

    Attributes:
        across_images: it compares the images of a batch with each other.
    """

    allowed: Tensor
    across_images = False

    def __init__(self, name: str, tasks: Tasks, network: Network, options: JointOptions) -> None:
        super().__init__()
        self.name = name
        self.space = options
        self.tasks = dict(tasks)
        self.names = list(tasks)
        self.one_pass = options.one_pass
        self.track = options.track
        self.undivided = self._undivided()
        self.register_buffer(
            "allowed", allowed_pairs(self.names, options.listed, name), persistent=False
        )
        levels = example_output(network).features.levels
        strides = [EXAMPLE_SIDE // level.shape[-1] for level in levels]
        self.level = level_of_stride(strides, options.stride, name)
        self.width = levels[self.level].shape[1]
        conditions = len(tasks) ** 2  # pairs of a task with itself are not used
        if options.condition == "none":
            conditions = 0
        self.mapping = MAPPINGS[options.mapping](
            {name: task.channels for name, task in tasks.items()},
            self.width,
            conditions=conditions,
            norm=Norm(options.norm == "map"),
            stride=options.stride or 32,
            rectify=options.rectify,
        )
        if options.init == "xavier":
            initialise(self.mapping)

    def _undivided(self) -> str:
        """Say why the images of a batch cannot be divided among processes."""
        if self.across_images:
            return "it compares the images of a batch with each other"
        if self.space.norm == "pass":
            return 'with norm = "pass" it normalises the maps of all images of a batch together'
        return ""

    def compared(self, codes: Codes) -> Tensors:
        """Compute the named losses of each pair, [p] each, weighted."""
        raise NotImplementedError

    def groups(self) -> Sequence[RateGroup]:
        """Return the mapping, and the part of it that the condition chooses.

        That part has no weight decay, which would shrink what belongs to pairs without a label.
        """
        options = self.space
        conditional = self.mapping.conditional()
        chosen = {id(p) for p in conditional}
        rest = [p for p in self.mapping.parameters() if id(p) not in chosen]
        groups = [RateGroup(rest, options.learning_rate)]
        if conditional:
            groups.append(
                RateGroup(conditional, options.condition_rate, options.condition_halve, decay=False)
            )
        return groups

    def prepare(self, data: Preparation) -> None:
        """Say if it can have no effect."""
        sources = self.space.sources
        say_if_idle(
            self.name,
            data,
            images=self.across_images,
            unlabelled=sources == "unlabelled",
            remedy=SOURCES_ALL,
            listed=self.space.listed,
            pairs=partial(pairs_of, sources=sources),
        )

    def views(self) -> Mapping[str, View]:
        """Return the crops, if it compares on them."""
        if self.space.view == "crop" and len(self.names) > 1:
            return {"crop": self._crop}
        return {}

    def _crop(self, batch: Batch, draws: Draws) -> Batch:
        """Crop the batch at random, and resize the crops to its size."""
        size = (batch.images.shape[-2], batch.images.shape[-1])
        boxes = draw_boxes(draws, batch.ids, size, self.space.zooms)
        batch = mirror_some(batch, self.tasks, draws, self.space.flip)
        return crop_batch(batch, self.tasks, boxes, size)

    def loss(self, step: Step) -> Tensors:
        """Sum the losses over each image's pairs, over the number of its source tasks: [b] each.

        No losses if no image has a pair.
        """
        codes = self.codes(step)
        if codes is None:
            return {}
        losses = self.compared(codes)
        return {name: self.sum_by_image(codes.pairs, loss) for name, loss in losses.items()}

    def sum_by_image(self, pairs: Pairs, losses: Tensor) -> Tensor:
        """Sum losses [p] over each image's pairs: [b].

        The sums are divided by the number of the image's source tasks if `divide` is set.
        """
        return pairs.per_image(losses) / (pairs.divisors if self.space.divide else 1)

    def codes(self, step: Step) -> Codes | None:
        """Map the batch's pairs into their joint spaces; None if there is no pair."""
        batch, output = step.views.get("crop", (step.batch, step.output))
        pairs = pairs_of(
            targets_present(batch.targets, self.names), self.allowed, self.space.sources
        )
        if not len(pairs):
            return None
        sources, targets = self._map_pairs(step, batch, output, pairs)
        features = output.features.levels[self.level].detach()[pairs.image]
        return Codes(pairs, sources, targets, features)

    def _map_pairs(
        self, step: Step, batch: Batch, output: Output, pairs: Pairs
    ) -> tuple[Tensor, Tensor]:
        """Map each pair's source prediction and target label into its joint space, [p, d, h', w'].

        What no condition changes is computed once for each map, and then read by all its pairs.
        """
        parts = []
        count = 0
        rows = torch.zeros(2, len(pairs), dtype=torch.long, device=pairs.image.device)
        for column, name in enumerate(self.names):
            task = step.tasks[name]
            sources = pairs.source == column
            predicted, own = self._predictions(step, (batch, output), pairs, column)
            rows[0, sources] = count + own
            targets = pairs.target == column
            labelled = pairs.images_of(column)[1]
            rows[1, targets] = (
                count + len(predicted) + torch.searchsorted(labelled, pairs.image[targets])
            )
            maps = torch.cat([predicted, label_maps(task, batch.targets[name][labelled])])
            count += len(maps)
            if len(maps):
                parts.append(self.mapping.shared(name, maps))
        codes = self._map_rows(torch.cat(parts), rows.flatten(), self._conditions(pairs))
        sources_codes, target_codes = codes.chunk(2)
        return sources_codes, target_codes

    def _predictions(self, step: Step, view: Seen, pairs: Pairs, column: int) -> Rows:
        """The maps of a task's predictions, and which of them each of its pairs as a source has."""
        batch, output = view
        name = self.names[column]
        task = step.tasks[name]
        own = pairs.source == column
        images = pairs.images_of(column)[0]
        which = torch.searchsorted(images, pairs.image[own])
        keys: list[tuple[str, ...]] = [("classes", name, batch.ids[row]) for row in images.tolist()]
        if self.space.draw == "pair" and task.largest:
            images = pairs.image[own]
            which = torch.arange(len(images), device=images.device)
            targets = [self.names[target] for target in pairs.target[own].tolist()]
            ids = [batch.ids[row] for row in images.tolist()]
            keys = [
                ("classes", name, target, one) for target, one in zip(targets, ids, strict=True)
            ]
        raw = resize_output(
            output.final[name][images], (batch.images.shape[-2], batch.images.shape[-1])
        )
        maps = prediction_maps(task, raw, [step.draws.generator(*key) for key in keys])
        return maps, which

    def picture_pair(
        self, output: Output, targets: Targets, source: str, target: str
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return what the mapping's last layer reads of one image, and what it makes of that.

        Args:
            output: of one image.
            targets: its labels, at the size of the network's input.
            source: a task.
            target: another task, of which the image has a label.

        Returns:
            Of the source's prediction, and of the target's label: the maps [1, c, h, w] that the
            last layer reads, and those in the joint space, [1, d, h', w'].
        """
        label = targets[target]
        raw = resize_output(output.final[source], label.value.shape[-2:])
        predicted = prediction_maps(self.tasks[source], raw, None)
        labelled = label_maps(self.tasks[target], label)
        zero = torch.zeros(1, dtype=torch.long, device=label.value.device)
        pair = Pairs(
            image=zero,
            source=zero + self.names.index(source),
            target=zero + self.names.index(target),
            divisors=zero + 1,
        )
        first, second = self._conditions(pair).chunk(2)
        return (self._picture(source, predicted, first), self._picture(target, labelled, second))

    def _picture(self, task: str, maps: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the mapping's last layer reads of a task's maps, and its output."""
        read = self.mapping.before_last(self.mapping.shared(task, maps), condition)
        return read, self.mapping.from_last(read, condition)

    def _conditions(self, pairs: Pairs) -> Tensor:
        """Number the condition of the source's map of each pair, then of the target's: [2p]."""
        count = len(self.names)
        source = pairs.source * count + pairs.target
        target = source
        if self.space.condition == "input":
            target = pairs.target * count + pairs.source
        return torch.cat([source, target])

    def _map_rows(self, shared: Tensor, rows: Tensor, conditions: Tensor) -> Tensor:
        """Map these rows of `shared` under their conditions, in passes of `maps` maps."""
        most = self.space.maps
        if len(rows) <= most:
            return self._map_pass(shared, rows, conditions)
        passes = zip(torch.split(rows, most), torch.split(conditions, most), strict=True)
        codes = []
        for part, its_conditions in passes:
            codes.append(
                checkpoint(self._map_pass, shared, part, its_conditions, use_reentrant=False)
            )
        return torch.cat(codes)

    def _map_pass(self, shared: Tensor, rows: Tensor, conditions: Tensor) -> Tensor:
        """Map rows of `shared` under their conditions, all at once."""
        return self.mapping(shared[rows], conditions)


def level_of_stride(strides: Sequence[int], stride: int, term: str) -> int:
    """Find the encoder's deepest map with this stride among all of its maps; 0: the deepest of all.

    Raises:
        RecipeError: there is none.

    Example:
        >>> strides = [4, 8, 16, 32, 32]
        >>> level_of_stride(strides, 8, "mtpsl"), level_of_stride(strides, 0, "mtpsl")
        (1, 4)
    """
    levels = [level for level, its_stride in enumerate(strides) if stride in (0, its_stride)]
    if not levels:
        raise RecipeError(
            f"terms.{term}.stride is {stride}, but the encoder has no map with this stride.",
            next_step=f"Its maps have {', '.join(map(str, sorted({*strides})))}; 0 is the deepest.",
            unchanged="Nothing was trained.",
        )
    return levels[-1]
