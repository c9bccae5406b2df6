"""Networks that map one task's maps to another task's raw outputs, one for each ordered pair, and what they compare."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from labelgrid.nets.unpooling import EncoderDecoder, initialise
from labelgrid.tasks.task import Task
from labelgrid.train.inputs import label_maps, prediction_maps
from labelgrid.train.objective import fixed_weights, half_to_float, resize_output
from labelgrid.train.pairs import Pairs
from labelgrid.train.term import Step


class CrossMap(nn.Module):
    """A whole SegNet: maps [m, source, h, w] of any size -> raw outputs of another task, [m, target, h, w].

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
        """The raw outputs, at the maps' size."""
        raw: Tensor = self.last(self.body(maps).shared)
        return raw


class CrossMaps(nn.Module):
    """A `CrossMap` for each pair of a source and a target: K (K - 1) networks for all pairs of K tasks.

    Reading: batch norm normalises a mapping's maps with the statistics of the pass (the predictions
    and the labels that are compared are one pass, so that both are mapped alike) and keeps none.
    Maps that are trained before, and then `fixed`, keep running ones, and use these.

    Args:
        tasks: the tasks by name.
        allowed: bool [t, t], True for the sources (rows) and targets (columns) that have a mapping.
        width: of each.
        fixed: the training does not change them.
        recompute: compute each mapping's activations again for its gradients, so that memory does
            not grow with the number of pairs.

    Example:
        >>> from labelgrid.ledger.grid import TaskRow
        >>> from labelgrid.tasks.task import build_all, definitions
        >>> tasks = build_all(definitions([TaskRow("depth", "depth", 1.0), TaskRow("normals", "normals", 1.0)]))
        >>> maps = CrossMaps(tasks, torch.tensor([[False, True], [False, False]]), 2)
        >>> list(maps.networks), maps.networks["depth>normals"](torch.zeros(2, 1, 32, 32)).shape
        (['depth>normals'], torch.Size([2, 3, 32, 32]))
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
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
            source, target = (tasks[self.names[task]] for task in (row, column))
            self.networks[self.key(row, column)] = CrossMap(source.channels, target.channels, width)
        self.fix(fixed=fixed)
        if not fixed:
            _forget_statistics(self)

    def fix(self, *, fixed: bool) -> None:
        """Freeze all parameters and running statistics, or let them be trained."""
        self.fixed = fixed
        self.requires_grad_(not fixed).train()

    def train(self, mode: bool = True) -> Self:
        """As of any module, but what is fixed stays as it is."""
        return super().train(mode and not self.fixed)

    def key(self, source: int, target: int) -> str:
        """The name of a pair's mapping in `networks`."""
        return f"{self.names[source]}>{self.names[target]}"

    def raw(self, source: int, target: int, maps: Tensor) -> Tensor:
        """A pair's raw outputs of the target for maps of the source, in full precision."""
        network = self.networks[self.key(source, target)]
        if self.recompute and torch.is_grad_enabled():
            return half_to_float(checkpoint(network, maps, use_reentrant=False))
        return half_to_float(network(maps))

    def of_both(
        self, source: int, target: int, predicted: Tensor, labelled: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As `raw`, for the maps of predictions and of labels."""
        if not self.fixed:
            first, second = self.raw(source, target, torch.cat([predicted, labelled])).chunk(2)
            return first, second
        with torch.no_grad():
            wanted = self.raw(source, target, labelled)
        return self.raw(source, target, predicted), wanted


def _forget_statistics(module: nn.Module) -> None:
    """Let all batch norms use the statistics of each pass, and keep none."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.track_running_stats = False
            norm.running_mean = norm.running_var = norm.num_batches_tracked = None


def labelled_sources(present: Tensor, allowed: Tensor) -> Pairs:
    """The pairs of a batch whose sources are its images' labelled tasks, with any target.

    Args:
        present: bool [b, t], True where an image has a task's label.
        allowed: bool [t, t], True for the sources (rows) and targets (columns) that are used.

    Returns:
        The pairs, whose divisors are the numbers of labelled tasks.

    Example:
        >>> pairs = labelled_sources(torch.tensor([[True, False]]), torch.tensor([[False, True], [True, False]]))
        >>> pairs.source.tolist(), pairs.target.tolist(), pairs.divisors.tolist()
        ([0], [1], [1])
    """
    image, source, target = (present[:, :, None] & allowed).nonzero(as_tuple=True)
    return Pairs(image, source, target, present.sum(1).clamp(min=1))


def direct_losses(maps: CrossMaps, step: Step, pairs: Pairs, *, detach: bool = False) -> Tensor:
    """The loss of each pair's mapped prediction of the source to the label of the target, [p].

    It is the target's own loss. Pairs of tasks that do not occur are not computed.

    Args:
        maps: the mappings.
        step: the training step.
        pairs: of the step's batch; their targets are labelled.
        detach: give the predictions no gradient.
    """
    batch = step.batch
    losses = _zeros(step, len(pairs))
    for source, images, used in _by_source(pairs):
        predicted = _predicted(step, maps.names[source], images, detach=detach)
        for target, places, rows in used:
            name = maps.names[target]
            raw = maps.raw(source, target, predicted[rows])
            loss = step.tasks[name].loss(raw, batch.targets[name][images[rows]])
            losses = losses.index_put((places,), loss)
    return losses


def mapped_distances(maps: CrossMaps, step: Step, pairs: Pairs) -> Tensor:
    """The distance of each pair's mapped prediction of the source to its mapped label, [p], in the target's space.

    It is the target's `disagreement` of the two mapped maps, as predictions of the target, the mean
    over all pixels. Pixels of which the source has no label are neutral in both maps.

    Args:
        maps: the mappings.
        step: the training step.
        pairs: of the step's batch; their sources are labelled.
    """
    losses = _zeros(step, len(pairs))
    for source, images, used in _by_source(pairs):
        name = maps.names[source]
        label = step.batch.targets[name][images]
        predicted = _predicted(step, name, images, label.valid)
        labelled = label_maps(step.tasks[name], label).to(predicted.dtype)
        for target, places, rows in used:
            task = step.tasks[maps.names[target]]
            raws = maps.of_both(source, target, predicted[rows], labelled[rows])
            apart = task.disagreement(*(task.activate(raw) for raw in raws))
            losses = losses.index_put((places,), apart.mean((1, 2, 3)))
    return losses


def sum_by_image(step: Step, pairs: Pairs, losses: Tensor, *, divide: bool) -> Tensor:
    """The sums [b] over each image's pairs of losses [p], each with the weight of its target in the objective.

    Args:
        step: the training step.
        pairs: of its batch.
        losses: of the pairs.
        divide: by the number of the image's source tasks.
    """
    weights = list(fixed_weights(step.tasks, step.objective).values())
    total = pairs.per_image(losses * losses.new_tensor(weights)[pairs.target])
    return total / pairs.divisors if divide else total


def _zeros(step: Step, count: int) -> Tensor:
    """As many zeros, without a graph, of the type of losses."""
    return half_to_float(next(iter(step.output.final.values())).new_zeros(count))


def _predicted(
    step: Step, name: str, images: Tensor, valid: Tensor | None = None, *, detach: bool = False
) -> Tensor:
    """The maps of a task's final predictions of some images, at the batch's size."""
    raw = resize_output(
        half_to_float(step.output.final[name][images]), step.batch.images.shape[-2:]
    )
    raw = raw.detach() if detach else raw
    draws = step.draws.by_image([step.batch.ids[row] for row in images.tolist()], "classes", name)
    return prediction_maps(step.tasks[name], raw, draws, valid)


#: A target, the numbers of its pairs, and the places of their images among the source's.
Used = tuple[int, Tensor, Tensor]


def _by_source(pairs: Pairs) -> Iterator[tuple[int, Tensor, Sequence[Used]]]:
    """Each source that occurs, its images in the batch, and its targets."""
    for source in torch.unique(pairs.source).tolist():
        images = pairs.images_of(source)[0]
        used = []
        for target in torch.unique(pairs.target[pairs.source == source]).tolist():
            places = ((pairs.source == source) & (pairs.target == target)).nonzero()[:, 0]
            used.append((target, places, torch.searchsorted(images, pairs.image[places])))
        yield source, images, used
