"""Networks that map a task's maps to another task's raw outputs, and losses of the outputs."""

from collections.abc import Iterator, Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from labelgrid.nets.unpooling import EncoderDecoder, initialise
from labelgrid.tasks.task import Tasks
from labelgrid.train.inputs import label_maps, prediction_maps
from labelgrid.train.objective import fixed_weights, half_to_float, resize_output
from labelgrid.train.pairs import Pairs, allowed_pairs
from labelgrid.train.term import Step, Term
from labelgrid.train.term_options import CrossMapOptions


class CrossMap(nn.Module):
    """A whole SegNet: maps [m, source, h, w] of any size -> another task's raw [m, target, h, w].

    Source: MTPSL section 4, "we use the whole SegNet as the cross-task mapping functions". Its last
    layer is a 1×1 convolution, a reading.

    Args:
        source: channels of the maps.
        target: channels of the raw outputs.
        width: filters of the first stage; the others have 2, 4, 8 and 8 times as many.

    Example:
        >>> CrossMap(4, 1, 2)(torch.zeros(1, 4, 40, 64)).shape
        torch.Size([1, 1, 40, 64])
    """

    def __init__(self, source: int, target: int, width: int) -> None:
        super().__init__()
        self.body = EncoderDecoder(width, source)
        self.last = nn.Conv2d(width, target, 1)
        initialise(self)

    def forward(self, maps: Tensor) -> Tensor:
        """Compute the raw outputs, at the maps' size."""
        return self.last(self.body(maps).shared)


class CrossMaps(nn.Module):
    """A `CrossMap` for each pair of a source and a target task: K (K - 1) for all of K tasks.

    Reading: batch norm normalises a mapping's maps with the statistics of the pass (the predictions
    and the labels that are compared are one pass, so that both are mapped alike) and keeps none.
    Mappings that are trained before, and then `fixed`, keep running statistics, and use these.

    Args:
        tasks: the tasks by name.
        allowed: bool [t, t], True for the sources (rows) and targets (columns) that have a mapping.
        width: the width of each mapping.
        fixed: the training does not change them.
        recompute: compute each mapping's activations again for its gradients, so that memory does
            not grow with the number of pairs.

    Example:
        >>> from labelgrid.ledger.grid import TaskRow
        >>> from labelgrid.tasks.task import build_all, definitions
        >>> rows = [TaskRow("depth", "depth", 1.0), TaskRow("normals", "normals", 1.0)]
        >>> tasks = build_all(definitions(rows))
        >>> maps = CrossMaps(tasks, torch.tensor([[False, True], [False, False]]), 2)
        >>> list(maps.networks), maps.networks["depth>normals"](torch.zeros(2, 1, 32, 32)).shape
        (['depth>normals'], torch.Size([2, 3, 32, 32]))
    """

    def __init__(
        self,
        tasks: Tasks,
        allowed: Tensor,
        width: int,
        *,
        fixed: bool = False,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.names = list(tasks)
        self.recompute = recompute
        self.networks = nn.ModuleDict()
        for row, column in allowed.nonzero().tolist():
            source = tasks[self.names[row]]
            target = tasks[self.names[column]]
            self.networks[self.key(row, column)] = CrossMap(source.channels, target.channels, width)
        self.fix(fixed=fixed)
        if fixed:
            return
        for norm in self.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.track_running_stats = False
                norm.running_mean = norm.running_var = norm.num_batches_tracked = None

    def fix(self, *, fixed: bool) -> None:
        """Freeze all parameters and running statistics, or let them be trained."""
        self.fixed = fixed
        self.requires_grad_(not fixed).train()

    def train(self, mode: bool = True) -> Self:
        """Set the mode as of any module, but leave fixed mappings in evaluation."""
        return super().train(mode and not self.fixed)

    def key(self, source: int, target: int) -> str:
        """Return the name of a pair's mapping in `networks`."""
        return f"{self.names[source]}>{self.names[target]}"

    def raw(self, source: int, target: int, maps: Tensor) -> Tensor:
        """Map maps of the source to raw outputs of the target, in full precision."""
        network = self.networks[self.key(source, target)]
        if self.recompute and torch.is_grad_enabled():
            return half_to_float(checkpoint(network, maps, use_reentrant=False))
        return half_to_float(network(maps))

    def raw_of_both(
        self, source: int, target: int, predicted: Tensor, labelled: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Map the maps of predictions and of labels as `raw` does."""
        if not self.fixed:
            first, second = self.raw(source, target, torch.cat([predicted, labelled])).chunk(2)
            return first, second
        with torch.no_grad():
            mapped_label = self.raw(source, target, labelled)
        return self.raw(source, target, predicted), mapped_label


class CrossMapTerm(Term):
    """The base class of terms with a `CrossMap` for each pair of tasks.

    Args:
        tasks: the tasks by name.
        options: the options of the mappings.
    """

    #: Its plug-in's name, for messages.
    plugin: ClassVar[str]
    options: CrossMapOptions
    allowed: Tensor
    undivided = "its mappings normalise the maps of all images of a batch together"

    def __init__(self, tasks: Tasks, options: CrossMapOptions, *, fixed: bool = False) -> None:
        super().__init__()
        self.options = options
        self.tasks = dict(tasks)
        self.names = list(tasks)
        self.register_buffer(
            "allowed", allowed_pairs(self.names, options.listed, self.plugin), persistent=False
        )
        self.maps = CrossMaps(
            tasks, self.allowed, options.width, fixed=fixed, recompute=options.recompute
        )


def labelled_sources(present: Tensor, allowed: Tensor) -> Pairs:
    """List the pairs of a batch whose sources are its images' labelled tasks, with any target.

    Args:
        present: bool [b, t], True where an image has a task's label.
        allowed: bool [t, t], True for the sources (rows) and targets (columns) that are used.

    Returns:
        The pairs, whose divisors are the numbers of labelled tasks.

    Example:
        >>> allowed = torch.tensor([[False, True], [True, False]])
        >>> pairs = labelled_sources(torch.tensor([[True, False]]), allowed)
        >>> pairs.source.tolist(), pairs.target.tolist(), pairs.divisors.tolist()
        ([0], [1], [1])
    """
    image, source, target = (present[:, :, None] & allowed).nonzero(as_tuple=True)
    return Pairs(image, source, target, present.sum(1).clamp(min=1))


def direct_losses(maps: CrossMaps, step: Step, pairs: Pairs, *, detach: bool = False) -> Tensor:
    """Compute the loss of each pair's mapped source prediction to the target's label, [p].

    It is the target's own loss. Pairs of tasks that do not occur are not computed.

    Args:
        maps: the mappings.
        step: the training step.
        pairs: the pairs of the step's batch; their targets are labelled.
        detach: give the predictions no gradient.
    """
    batch = step.batch
    losses = _zero_losses(step, len(pairs))
    for source, images, targets in _group_by_source(pairs):
        predicted = _predicted_maps(step, maps.names[source], images, detach=detach)
        for target, positions, rows in targets:
            name = maps.names[target]
            raw = maps.raw(source, target, predicted[rows])
            loss = step.tasks[name].loss(raw, batch.targets[name][images[rows]])
            losses = losses.index_put((positions,), loss)
    return losses


def mapped_distances(maps: CrossMaps, step: Step, pairs: Pairs) -> Tensor:
    """Compute the distance of each pair's source prediction to its label, both mapped: [p].

    It is the target's `disagreement` of the two mapped maps, as predictions of the target, the mean
    over all pixels. Pixels of which the source has no label are neutral in both maps.

    Args:
        maps: the mappings.
        step: the training step.
        pairs: the pairs of the step's batch; their sources are labelled.
    """
    losses = _zero_losses(step, len(pairs))
    for source, images, targets in _group_by_source(pairs):
        name = maps.names[source]
        label = step.batch.targets[name][images]
        predicted = _predicted_maps(step, name, images, label.valid)
        labelled = label_maps(step.tasks[name], label).to(predicted.dtype)
        for target, positions, rows in targets:
            task = step.tasks[maps.names[target]]
            first, second = maps.raw_of_both(source, target, predicted[rows], labelled[rows])
            apart = task.disagreement(task.activate(first), task.activate(second))
            losses = losses.index_put((positions,), apart.mean((1, 2, 3)))
    return losses


def sum_by_image(step: Step, pairs: Pairs, losses: Tensor, *, divide: bool) -> Tensor:
    """Sum losses [p] over each image's pairs: [b].

    Each loss has the weight of its target in the objective.

    Args:
        step: the training step.
        pairs: the pairs of its batch.
        losses: the losses of the pairs.
        divide: divide by the number of the image's source tasks.
    """
    weights = list(fixed_weights(step.tasks, step.objective).values())
    total = pairs.per_image(losses * losses.new_tensor(weights)[pairs.target])
    if divide:
        return total / pairs.divisors
    return total


def _zero_losses(step: Step, count: int) -> Tensor:
    return half_to_float(next(iter(step.output.final.values())).new_zeros(count))


def _predicted_maps(
    step: Step, name: str, images: Tensor, valid: Tensor | None = None, *, detach: bool = False
) -> Tensor:
    final = half_to_float(step.output.final[name][images])
    raw = resize_output(final, step.batch.image_size)
    if detach:
        raw = raw.detach()
    draws = step.draws.by_image(step.batch.ids_at(images), "classes", name)
    return prediction_maps(step.tasks[name], raw, draws, valid)


#: A target, the numbers of its pairs, and the places of their images among the source's.
TargetOfSource = tuple[int, Tensor, Tensor]


def _group_by_source(pairs: Pairs) -> Iterator[tuple[int, Tensor, Sequence[TargetOfSource]]]:
    for source in torch.unique(pairs.source).tolist():
        images = pairs.images_of(source)[0]
        targets = []
        for target in torch.unique(pairs.target[pairs.source == source]).tolist():
            positions = ((pairs.source == source) & (pairs.target == target)).nonzero()[:, 0]
            rows = torch.searchsorted(images, pairs.image[positions])
            targets.append((target, positions, rows))
        yield source, images, targets
