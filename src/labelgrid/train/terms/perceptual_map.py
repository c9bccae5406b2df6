"""Perceptual-Map: mapped to another task, the prediction and the label of a labelled task agree.

Each mapping is a network of its own for an ordered pair of tasks. Their cost and memory grow with
the number of pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from labelgrid.nets.network import Network
from labelgrid.pixel.target import Tensors
from labelgrid.tasks.task import Tasks
from labelgrid.train.cross_maps import (
    CrossMapTerm,
    direct_losses,
    labelled_sources,
    mapped_distances,
    sum_by_image,
)
from labelgrid.train.idle_terms import say_if_idle
from labelgrid.train.objective import targets_present
from labelgrid.train.pairs import pairs_of
from labelgrid.train.term import OwnOptimiser, Preparation, RateGroup, Step
from labelgrid.train.term_options import AdamRate, CrossMapOptions


@dataclass(frozen=True)
class Options(CrossMapOptions):
    """What the mappings learn from (MTPSL section 3.2). The sources are the image's labelled tasks.

    Args:
        learn: the mappings learn from the direct losses with their `"own"` optimiser; or from
            `"both"` these and the distance, jointly with the network.
        learning_rate: the learning rate of the mappings, with Adam; constant, except with `learn =
            "both"`.
    """

    learn: Literal["own", "both"] = "own"
    learning_rate: AdamRate = 1e-4


class PerceptualMap(CrossMapTerm):
    """Distances of predictions to labels of the same task, in the spaces of other tasks.

    Source: MTPSL section 3.2, L_ct(m_{s->t}(prediction of s), m_{s->t}(label of s)), and mappings
    that are learnt "from prediction of one task to another task's groundtruth".

    Readings: the labels of s must be there, so the sum is over labelled s and all other t, divided
    by the number of labelled tasks. The distance is the `disagreement` of t, with its weight in the
    objective (L_ct, a cosine distance, is constant for maps of one channel). The mappings do not
    learn from this loss, since constant mappings would be best. They learn from direct losses,
    m_{s->t}(prediction of s) to the label of t where there is one, without gradient to the network.
    A mapping to a task without any label keeps its random weights.
    """

    plugin = "perceptual_map"
    options: Options

    def _learns_by(self, learn: str) -> bool:
        return self.options.learn == learn and len(self.names) > 1

    def groups(self) -> Sequence[RateGroup]:
        """Return the mappings, if they learn jointly with the network."""
        if not self._learns_by("both"):
            return []
        return [RateGroup(list(self.maps.parameters()), self.options.learning_rate)]

    def optimisers(self) -> Mapping[str, OwnOptimiser]:
        """Return the optimiser of the mappings, unless they learn with the network."""
        if not self._learns_by("own"):
            return {}
        adam = torch.optim.Adam(self.maps.parameters(), self.options.learning_rate)
        return {"maps": OwnOptimiser(adam, self._direct_losses)}

    def prepare(self, data: Preparation) -> None:
        """Say if it can have no effect."""
        say_if_idle("perceptual_map", data, listed=self.options.listed, pairs=labelled_sources)

    def loss(self, step: Step) -> Tensors:
        """Compute the distance [b], 0 for images without a label.

        If the mappings learn jointly with the network, the direct losses are returned, too.
        """
        options = self.options
        pairs = labelled_sources(targets_present(step.batch.targets, self.names), self.allowed)
        distances = mapped_distances(self.maps, step, pairs)
        apart = sum_by_image(step, pairs, distances, divide=options.divide)
        losses = {"distance": options.weight * apart}
        if self._learns_by("both"):
            losses.update(self._direct_losses(step))
        return losses

    def _direct_losses(self, step: Step) -> Tensors:
        """Compute the losses from which the mappings learn, [b]; none without a label."""
        pairs = pairs_of(targets_present(step.batch.targets, self.names), self.allowed, "all")
        if not len(pairs):
            return {}
        losses = direct_losses(self.maps, step, pairs, detach=True)
        return {"direct": sum_by_image(step, pairs, losses, divide=False)}


def build(tasks: Tasks, network: Network, options: Options) -> PerceptualMap:
    """Build the term."""
    return PerceptualMap(tasks, options)
