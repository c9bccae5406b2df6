"""Maps predictions of a task and labels of another into a joint space, where terms compare them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from labelgrid.basics.errors import RecipeError
from labelgrid.data.batch import Batch
from labelgrid.nets.network import EXAMPLE_SIDE, Network, Output, example_output
from labelgrid.nets.unpooling import initialise
from labelgrid.pixel.target import Tensors
from labelgrid.tasks.task import Tasks
from labelgrid.train.crop_boxes import crop_at_random, mirror_some
from labelgrid.train.idle_terms import SOURCES_ALL, say_if_idle
from labelgrid.train.inputs import label_maps, prediction_maps
from labelgrid.train.mappings import MAPPINGS, Norm
from labelgrid.train.objective import resize_output, targets_present
from labelgrid.train.pairs import Pairs, allowed_pairs, pairs_of
from labelgrid.train.step_draws import Draws
from labelgrid.train.term import Preparation, RateGroup, Step, Term, Views
from labelgrid.train.term_options import JointOptions

#: A batch, and the network's output for it.
Seen = tuple[Batch, Output]
#: Maps [m, c, h, w], and which of them each of several pairs has.
Rows = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Codes:
    """The maps of a batch's pairs in their joint spaces.

    Args:
        pairs: the pairs of the batch.
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
    """A term that compares a task's prediction with another task's label in a joint space.

    Subclasses define `compared`. With one task it does nothing, and says so.

    Attributes:
        plugin: the term's name, for messages.
        across_images: it compares the images of a batch with each other.
    """

    plugin: ClassVar[str]
    options: JointOptions
    allowed: Tensor
    across_images = False

    def __init__(self, tasks: Tasks, network: Network, options: JointOptions) -> None:
        super().__init__()
        self.options = options
        self.tasks = dict(tasks)
        self.names = list(tasks)
        self.one_pass = options.one_pass
        self.track = options.track
        if self.across_images:
            self.undivided = "it compares the images of a batch with each other"
        elif options.norm == "pass":
            self.undivided = (
                'with norm = "pass" it normalises the maps of all images of a batch together'
            )
        self.register_buffer(
            "allowed", allowed_pairs(self.names, options.listed, self.plugin), persistent=False
        )
        levels = example_output(network).features.levels
        strides = [EXAMPLE_SIDE // level.shape[-1] for level in levels]
        self.level = level_of_stride(strides, options.stride, self.plugin)
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

    def compared(self, codes: Codes) -> Tensors:
        """Compute the named losses of each pair, [p] each, weighted."""
        raise NotImplementedError

    def groups(self) -> Sequence[RateGroup]:
        """Return the mapping, and apart from it the conditional part.

        That part has no weight decay, which would shrink what belongs to pairs without a label.
        """
        options = self.options
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
        sources = self.options.sources
        say_if_idle(
            self.plugin,
            data,
            images=self.across_images,
            unlabelled=sources == "unlabelled",
            remedy=SOURCES_ALL,
            listed=self.options.listed,
            pairs=partial(pairs_of, sources=sources),
        )

    def views(self) -> Views:
        """Return the crops; none with view = "batch"."""
        if self.options.view == "crop" and len(self.names) > 1:
            return {"crop": self._crop}
        return {}

    def _crop(self, batch: Batch, draws: Draws) -> Batch:
        mirrored = mirror_some(batch, self.tasks, draws, self.options.flip)
        return crop_at_random(mirrored, self.tasks, draws, self.options.zooms)

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
        return pairs.per_image(losses) / (pairs.divisors if self.options.divide else 1)

    def codes(self, step: Step) -> Codes | None:
        """Map the batch's pairs into their joint spaces; None if there is no pair."""
        seen = step.views.get("crop", (step.batch, step.output))
        batch, output = seen
        pairs = pairs_of(
            targets_present(batch.targets, self.names), self.allowed, self.options.sources
        )
        if not len(pairs):
            return None
        # What no condition changes is computed once for each map, and read by all its pairs.
        parts = []
        count = 0
        rows = torch.zeros(2, len(pairs), dtype=torch.long, device=pairs.image.device)
        for column, name in enumerate(self.names):
            predicted, positions = self._predictions(step, seen, pairs, column)
            rows[0, pairs.source == column] = count + positions
            count += len(predicted)
            labelled = pairs.images_of(column)[1]
            targets = pairs.target == column
            rows[1, targets] = count + torch.searchsorted(labelled, pairs.image[targets])
            count += len(labelled)
            labels = label_maps(step.tasks[name], batch.targets[name][labelled])
            maps = torch.cat([predicted, labels])
            if len(maps):
                parts.append(self.mapping.shared(name, maps))
        codes = self._map_rows(torch.cat(parts), rows.flatten(), self.conditions(pairs))
        source_codes, target_codes = codes.chunk(2)
        features = output.features.levels[self.level].detach()[pairs.image]
        return Codes(pairs, source_codes, target_codes, features)

    def _predictions(self, step: Step, view: Seen, pairs: Pairs, column: int) -> Rows:
        """Return the maps of a task's predictions, and the position of each pair among the maps."""
        batch, output = view
        name = self.names[column]
        task = step.tasks[name]
        is_source = pairs.source == column
        images = pairs.images_of(column)[0]
        which = torch.searchsorted(images, pairs.image[is_source])
        keys: list[tuple[str, ...]] = [("classes", name, one) for one in batch.ids_at(images)]
        if self.options.draw == "pair" and task.largest:
            images = pairs.image[is_source]
            which = torch.arange(len(images), device=images.device)
            targets = [self.names[target] for target in pairs.target[is_source].tolist()]
            pairs_of_names = zip(targets, batch.ids_at(images), strict=True)
            keys = [("classes", name, *pair) for pair in pairs_of_names]
        raw = resize_output(output.final[name][images], batch.image_size)
        maps = prediction_maps(task, raw, [step.draws.generator(*key) for key in keys])
        return maps, which

    def conditions(self, pairs: Pairs) -> Tensor:
        """Number the condition of the source's map of each pair, then of the target's: [2p]."""
        count = len(self.names)
        source = pairs.source * count + pairs.target
        target = source
        if self.options.condition == "input":
            target = pairs.target * count + pairs.source
        return torch.cat([source, target])

    def _map_rows(self, shared: Tensor, rows: Tensor, conditions: Tensor) -> Tensor:
        """Map rows of `shared` under a condition each, in passes of `maps` maps."""
        most = self.options.maps
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
        return self.mapping(shared[rows], conditions)


def level_of_stride(strides: Sequence[int], stride: int, term: str) -> int:
    """Find the deepest of the encoder's maps with a stride; 0: the deepest of all.

    Raises:
        RecipeError: there is none.

    Example:
        >>> strides = [4, 8, 16, 32, 32]
        >>> level_of_stride(strides, 8, "mtpsl"), level_of_stride(strides, 0, "mtpsl")
        (1, 4)
    """
    levels = []
    for level, its_stride in enumerate(strides):
        if stride in (0, its_stride):
            levels.append(level)
    if not levels:
        raise RecipeError(
            f"terms.{term}.stride is {stride}, but the encoder has no map with this stride.",
            next_step=f"Its maps have {', '.join(map(str, sorted({*strides})))}; 0 is the deepest.",
            unchanged="Nothing was trained.",
        )
    return levels[-1]
