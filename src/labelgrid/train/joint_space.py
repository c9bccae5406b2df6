"""Maps predictions of one task and labels of another into their joint space, for the terms that compare them there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from labelgrid.data.batch import Batch
from labelgrid.errors import RecipeError
from labelgrid.nets.network import EXAMPLE_SIDE, Network, Output, example_output
from labelgrid.nets.unpooling import initialise
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import Task
from labelgrid.train.crops import crop_batch, draw_boxes, mirror_some
from labelgrid.train.draws import Draws
from labelgrid.train.idle_terms import SOURCES_ALL, say_if_idle
from labelgrid.train.inputs import label_maps, prediction_maps
from labelgrid.train.joint_options import JointOptions
from labelgrid.train.mappings import MAPPINGS, Norm
from labelgrid.train.objective import resize_output, targets_present
from labelgrid.train.pairs import Pairs, allowed_pairs, pairs_of
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
        features: [p, d, h', w'], the encoder's map that the joint space is compared with, of each
            pair's image, without gradient.
    """

    pairs: Pairs
    sources: Tensor
    targets: Tensor
    features: Tensor


class JointTerm(Term):
    """A term that compares the prediction of one task with the label of another in their joint space.

    Subclasses define `compared`. With one task it does nothing, and says so.

    Args:
        name: of the term, for messages.

    Attributes:
        across_images: it compares the images of a batch with each other.
    """

    allowed: Tensor
    across_images = False

    def __init__(
        self, name: str, tasks: Mapping[str, Task], network: Network, options: JointOptions
    ) -> None:
        super().__init__()
        self.name = name
        self.space = options
        self.tasks = dict(tasks)
        self.names = list(tasks)
        self.one_pass = options.one_pass
        self.track = options.track
        self.register_buffer(
            "allowed", allowed_pairs(self.names, options.listed, name), persistent=False
        )
        levels = example_output(network).features.levels
        strides = [EXAMPLE_SIDE // level.shape[-1] for level in levels]
        count = len(tasks)
        self.level = level_of_stride(strides, options.stride, name)
        self.width = levels[self.level].shape[1]
        channels = {name: task.channels for name, task in tasks.items()}
        conditions = 0 if options.condition == "none" else count * count  # its diagonal is not used
        norm = Norm(options.norm == "map")
        stride = options.stride or 32
        build = MAPPINGS[options.mapping]
        self.mapping = build(
            channels, self.width, conditions, norm, stride, rectify=options.rectify
        )
        if options.init == "xavier":
            initialise(self.mapping)

    def compared(self, codes: Codes) -> Mapping[str, Tensor]:
        """The named losses of each pair, [p] each, weighted."""
        raise NotImplementedError

    def groups(self) -> Sequence[RateGroup]:
        """The mapping, and the part of it that the condition chooses.

        That part has no weight decay, which would shrink what belongs to pairs without a label.
        """
        options = self.space
        conditional = self.mapping.conditional()
        chosen = {id(p) for p in conditional}
        rest = [p for p in self.mapping.parameters() if id(p) not in chosen]
        own = RateGroup(conditional, options.condition_rate, options.condition_halve, decay=False)
        return [RateGroup(rest, options.learning_rate), *([own] if conditional else [])]

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
        """The crops, if it compares on them."""
        return {"crop": self._crop} if self.space.view == "crop" and len(self.names) > 1 else {}

    def _crop(self, batch: Batch, draws: Draws) -> Batch:
        size = (batch.images.shape[-2], batch.images.shape[-1])
        boxes = draw_boxes(draws, batch.ids, size, self.space.zooms)
        return crop_batch(
            mirror_some(batch, self.tasks, draws, self.space.flip), self.tasks, boxes, size
        )

    def loss(self, step: Step) -> Mapping[str, Tensor]:
        """The sums over each image's pairs, over the number of its source tasks, [b].

        None if no image has a pair.
        """
        codes = self.codes(step)
        if codes is None:
            return {}
        return {
            name: self.divided(codes.pairs, loss) for name, loss in self.compared(codes).items()
        }

    def divided(self, pairs: Pairs, losses: Tensor) -> Tensor:
        """Losses [p], summed over each image's pairs, over the number of its source tasks if `divide` is set: [b]."""
        return pairs.per_image(losses) / (pairs.divisors if self.space.divide else 1)

    def codes(self, step: Step) -> Codes | None:
        """The batch's pairs in their joint spaces; None if there is no pair."""
        batch, output = step.views.get("crop", (step.batch, step.output))
        pairs = pairs_of(
            targets_present(batch.targets, self.names), self.allowed, self.space.sources
        )
        if not len(pairs):
            return None
        sources, targets = self._joint(step, batch, output, pairs)
        return Codes(
            pairs, sources, targets, output.features.levels[self.level].detach()[pairs.image]
        )

    def _joint(
        self, step: Step, batch: Batch, output: Output, pairs: Pairs
    ) -> tuple[Tensor, Tensor]:
        """Each pair's maps in its joint space, [p, d, h', w']: of the source's prediction, of the target's label."""
        parts: list[Tensor] = []
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
        codes = self._mapped(torch.cat(parts), rows.flatten(), self._conditions(pairs))
        first, second = codes.chunk(2)
        return first, second

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
        return prediction_maps(task, raw, [step.draws.generator(*key) for key in keys]), which

    def pictured(
        self, output: Output, targets: Mapping[str, Target], source: str, target: str
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """What the mapping's last layer reads of one image, and what it makes of that.

        Args:
            output: of one image.
            targets: its labels, at the size of the network's input.
            source: a task.
            target: another task, of which the image has a label.

        Returns:
            Of the source's prediction, and of the target's label: the maps [1, c, h, w] that the
            last layer reads, and those in the joint space, [1, d, h', w'].
        """
        size = targets[target].value.shape[-2:]
        numbers = [self.names.index(name) for name in (source, target)]
        maps = {
            source: prediction_maps(
                self.tasks[source], resize_output(output.final[source], size), None
            ),
            target: label_maps(self.tasks[target], targets[target]),
        }
        one = torch.zeros(1, dtype=torch.long, device=targets[target].value.device)
        conditions = self._conditions(
            Pairs(one, one + numbers[0], one + numbers[1], one + 1)
        ).chunk(2)
        read = [
            self.mapping.before_last(self.mapping.shared(name, maps[name]), condition)
            for name, condition in zip((source, target), conditions, strict=True)
        ]
        first, second = (
            (x, self.mapping.from_last(x, own)) for x, own in zip(read, conditions, strict=True)
        )
        return first, second

    def _conditions(self, pairs: Pairs) -> Tensor:
        """The condition of the source's map of each pair, then of the target's, [2p]."""
        count = len(self.names)
        source = pairs.source * count + pairs.target
        target = pairs.target * count + pairs.source if self.space.condition == "input" else source
        return torch.cat([source, target])

    def _mapped(self, shared: Tensor, rows: Tensor, conditions: Tensor) -> Tensor:
        """The joint maps of these rows of `shared` under their conditions, in passes of `maps`."""
        if len(rows) <= self.space.maps:
            return self._pass(shared, rows, conditions)
        passes = zip(
            *(torch.split(part, self.space.maps) for part in (rows, conditions)), strict=True
        )
        return torch.cat(
            [checkpoint(self._pass, shared, *part, use_reentrant=False) for part in passes]
        )

    def _pass(self, shared: Tensor, rows: Tensor, conditions: Tensor) -> Tensor:
        codes: Tensor = self.mapping(shared[rows], conditions)
        return codes


def level_of_stride(strides: Sequence[int], stride: int, term: str) -> int:
    """The place of the encoder's deepest map with this stride among all of its maps.

    0: of the deepest of all.

    Raises:
        RecipeError: there is none.

    Example:
        >>> level_with([4, 8, 16, 32, 32], 8, "mtpsl"), level_with([4, 8, 16, 32, 32], 0, "mtpsl")
        (1, 4)
    """
    found = [i for i, one in enumerate(strides) if stride in (0, one)]
    if not found:
        raise RecipeError(
            f"terms.{term}.stride is {stride}, but the encoder has no map with this stride.",
            next_step=f"Its maps have {', '.join(map(str, sorted({*strides})))}; 0 is the deepest.",
            unchanged="Nothing was trained.",
        )
    return found[-1]
