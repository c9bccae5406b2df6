"""Discriminator loss: in a joint space, a network tells maps of an image from maps of two images.

A further loss in place of MTPSL's consistency and regulariser. Each pair needs a further image with
the same two tasks in the batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from labelgrid.nets.network import Network
from labelgrid.pixel.target import Tensors
from labelgrid.tasks.task import Tasks
from labelgrid.train.joint_space import Codes, JointTerm
from labelgrid.train.term import OwnOptimiser, Step
from labelgrid.train.term_options import AdamRate, JointOptions, Weight, Width


@dataclass(frozen=True)
class Options(JointOptions):
    """MTPSL's Discriminator-Loss.

    The paper gives neither the discriminator's layers nor its training.

    Args:
        weight: the weight of the loss by which network and mapping learn.
        aim: what network and mapping learn: that the discriminator tells both kinds of pairs apart
            (`"both"`), or that it takes maps of one image for maps of one image (`"positive"`).
        width: channels of the discriminator's hidden layers.
        rate: learning rate of the discriminator's Adam.
    """

    weight: Weight = 1.0
    aim: Literal["both", "positive"] = "both"
    width: Width = 128
    rate: AdamRate = 1e-4


class Judge(nn.Sequential):
    """Two maps, concatenated [p, 2d, h, w] -> a logit [p].

    The layers are two 1×1 convolutions with leaky ReLU, the mean, and a linear layer. They have no
    batch norm, so that pairs do not change each other.
    """

    def __init__(self, channels: int, width: int) -> None:
        hidden = (
            nn.Conv2d(2 * channels, width, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, width, 1),
            nn.LeakyReLU(0.2),
        )
        super().__init__(
            *hidden, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 1), nn.Flatten(0)
        )


class Discriminator(JointTerm):
    """The cross entropy of a discriminator of pairs: maps of the same image, or of two images.

    Source: MTPSL section 3.2, "Alternative loss and regularization strategies": a convolutional
    network predicts the kind of pair, and is optimised in turn with the network and the mapping.
    Reading: the discriminator never learns from the loss of the network and the mapping, nor do
    they learn from the discriminator's. Pairs without another image do not count.
    """

    plugin = "discriminator"
    options: Options
    across_images = True

    def __init__(self, tasks: Tasks, network: Network, options: Options) -> None:
        super().__init__(tasks, network, options)
        self.judge = Judge(self.width, options.width)
        self.optimiser = torch.optim.Adam(self.judge.parameters(), lr=options.rate)
        self.last_codes: Codes | None = None

    def optimisers(self) -> Mapping[str, OwnOptimiser]:
        """Return the discriminator's optimiser."""
        return {"judge": OwnOptimiser(self.optimiser, self._judge_loss)}

    def compared(self, codes: Codes) -> Tensors:
        """Compute the loss of the network and the mapping for each pair, [p].

        It is 0 for pairs without another image.
        """
        self.last_codes = codes
        yes, no = self._entropies(codes.pairs.of_another_image(), codes)
        loss = yes + no if self.options.aim == "both" else yes
        return {"judged": self.options.weight * loss}

    def _entropies(self, others: Tensor, codes: Codes) -> tuple[Tensor, Tensor]:
        counts = (codes.pairs.image[others] != codes.pairs.image).float()
        yes = self.judge(torch.cat([codes.sources, codes.targets], 1))
        no = self.judge(torch.cat([codes.sources[others], codes.targets], 1))
        return counts * functional.softplus(-yes), counts * functional.softplus(no)

    def _judge_loss(self, step: Step) -> Tensors:
        codes = self.last_codes
        self.last_codes = None
        if codes is None:
            return {}
        constant = Codes(
            codes.pairs, codes.sources.detach(), codes.targets.detach(), codes.features
        )
        yes, no = self._entropies(codes.pairs.of_another_image(), constant)
        return {"entropy": self.sum_by_image(codes.pairs, yes + no)}


def build(tasks: Tasks, network: Network, options: Options) -> Discriminator:
    """Build the term."""
    return Discriminator(tasks, network, options)
