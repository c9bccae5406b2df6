"""MTPSL: an unlabelled task's prediction agrees with another task's label in a joint space."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from labelgrid.nets.network import Network
from labelgrid.pixel.target import Tensors
from labelgrid.tasks.task import Tasks
from labelgrid.train.joint_space import Codes, JointTerm
from labelgrid.train.objective import resize_output
from labelgrid.train.pairs import Pairs, distance
from labelgrid.train.term import Preparation, Step
from labelgrid.train.term_options import JointOptions, Share, Weight

#: Of `pairs = "learnt"`: contrasts are divided by it; their moving average keeps this share of its
#: value in a step.
TEMPERATURE = 0.1
MOMENTUM = 0.99


@dataclass(frozen=True)
class Options(JointOptions):
    """The equations of the paper; the recipe `mtpsl-released` has the values of the released code.

    Args:
        weight: the weight of the consistency; the paper has none, the released code 2 (NYUv2) or 1
            (Cityscapes).
        regulariser: weight of each of a pair's two distances to the image's features; 0: "w/o reg".
            Released: half of `weight`.
        pairs: `"all"` pairs count alike (the paper). `"learnt"`: pairs that prove related count
            more. Each ordered pair has a number c without gradient: a moving average of the
            distance between the maps of two images minus that between the maps of one. Both losses
            of a pair are multiplied by its exp(c / 0.1), divided by the mean of these over the
            pairs.
        ramp: share of the training over which both weights rise in a line from 0. Released: 0, or
            with `--rampup up` 0.5.
    """

    weight: Weight = 1.0
    regulariser: Weight = 1.0
    pairs: Literal["all", "learnt"] = "all"
    ramp: Share = 0.0


class CrossTaskConsistency(JointTerm):
    """Compares two tasks' maps in their joint space, and with the image's features.

    Both are cosine distances.

    Source: MTPSL eq. 4: (1/|U|) sum over s in U, t in T of L_ct(m(y_s), m(y_t)) + R(f, m(y_s)) +
    R(f, m(y_t)), with the prediction y_s and the label y_t. All are 1 - cos over channels, averaged
    over the places of the maps. As in the released code the features f, the encoder's deepest map
    (or that of `stride`), get no gradient.
    """

    plugin = "mtpsl"
    options: Options
    contrasts: Tensor

    def __init__(self, tasks: Tasks, network: Network, options: Options) -> None:
        super().__init__(tasks, network, options)
        self.seen: dict[tuple[int, int], Tensor] = {}
        if options.pairs == "learnt":
            self.undivided = 'with pairs = "learnt" it compares the images of a batch'
        self.register_buffer("contrasts", torch.zeros(len(tasks), len(tasks)))

    def prepare(self, data: Preparation) -> None:
        """Say if the term, or learning of pairs, can have no effect."""
        super().prepare(data)
        if self.options.pairs == "learnt" and data.batch == 1 and len(data.tasks) > 1:
            data.progress.say(
                "The term 'mtpsl' learns which pairs are related by comparing the images of a "
                "batch: with one image in each all pairs count alike."
            )

    def loss(self, step: Step) -> Tensors:
        """Compute the losses of `JointTerm`, times the share that `ramp` lets in by now."""
        ramp = self.options.ramp
        factor = 1.0 if step.progress >= ramp else step.progress / ramp
        return {name: factor * loss for name, loss in super().loss(step).items()}

    def compared(self, codes: Codes) -> Tensors:
        """Compute the consistency and the regulariser of each pair, [p] each."""
        maps = (codes.sources, codes.targets)
        options = self.options
        apart = distance(*maps)
        size = codes.features.shape[-2:]
        lost = [distance(resize_output(one, size), codes.features) for one in maps]
        if options.pairs == "learnt":
            with torch.no_grad():
                self.seen = _contrasts(codes, apart)
        weights = self._weights(codes.pairs)
        return {
            "consistency": options.weight * weights * apart,
            "regulariser": options.regulariser * weights * torch.stack(lost).sum(0),
        }

    def _weights(self, pairs: Pairs) -> Tensor:
        """Return the weight of each pair, [p]; 1 on average over the pairs of tasks in use."""
        used = self.allowed
        weights = used.float()
        if self.options.pairs == "learnt":
            scaled = (self.contrasts / TEMPERATURE).masked_fill(~used, -torch.inf)
            weights = torch.softmax(scaled.flatten(), 0).view_as(used) * used.sum()
        return weights[pairs.source, pairs.target]

    def after_step(self, step: Step) -> None:
        """Move the contrasts towards those of the step."""
        for (source, target), contrast in self.seen.items():
            self.contrasts[source, target].lerp_(contrast, 1 - MOMENTUM)
        self.seen = {}


def _contrasts(codes: Codes, apart: Tensor) -> dict[tuple[int, int], Tensor]:
    others = distance(codes.sources, codes.targets[codes.pairs.of_another_image()])
    contrasts = {}
    tasks = zip(codes.pairs.source.tolist(), codes.pairs.target.tolist(), strict=True)
    for source, target in set(tasks):
        rows = ((codes.pairs.source == source) & (codes.pairs.target == target)).nonzero()[:, 0]
        if len(rows) > 1:
            contrasts[source, target] = (others - apart)[rows].mean()
    return contrasts


def build(tasks: Tasks, network: Network, options: Options) -> CrossTaskConsistency:
    """Build the term."""
    return CrossTaskConsistency(tasks, network, options)
