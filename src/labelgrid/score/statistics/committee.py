"""Computes each task's inconsistency: how far a committee is from the initial prediction.

Distillation blocks refine the frozen network's initial predictions, one block for each pair of
tasks. They are trained with the tasks' losses on the labelled images (TCD eq. 1, supplement
sections 1 and 5). The network must have two stages.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn

from labelgrid.basics.array_types import AnyFloats, Floats
from labelgrid.basics.config import check_ranges
from labelgrid.basics.errors import ModelError
from labelgrid.data.frame import content_means
from labelgrid.nets.blocks import bottlenecks
from labelgrid.nets.distillation import Distil, Embed
from labelgrid.nets.encoder_options import WIDEST
from labelgrid.nets.network import Network, Output, Raw, example_output
from labelgrid.score.statistic import FitContext, PoolBatch, TrainedStatistic
from labelgrid.score.training import Rows, Schedule, replay_passes, resize_maps, train
from labelgrid.tasks.task import Tasks
from labelgrid.train.objective import image_losses, supervised_loss, targets_present

#: How the distances of a committee's members become one number.
COMBINE: Mapping[str, Callable[..., Any]] = {"max": np.max, "mean": np.mean, "min": np.min}


@dataclass(frozen=True, kw_only=True)
class Options:
    """The committee and the training of its blocks.

    The paper gives neither the measure nor the training's length.

    Args:
        combine: a task's inconsistency is that of the member with the `"max"` (eq. 1), the `"mean"`
            of all, or the `"min"` (table 2).
        divergence: the divergence between class probabilities: `"kl"`, of the refined from the
            initial prediction, or `"js"` (Jensen–Shannon), at most log 2. Tasks without classes
            have distances of their own.
        own: the network's own final prediction is a member, too.
        width: channels of a block, a multiple of 4; 0: as wide as the network's initial heads (256
            in the papers).
        gate: the task whose features compute a message's gate: the `"target"` (PAD-Net's paper) or
            the `"source"` (public code).
        epochs: passes over the labelled images.
        learning_rate: the learning rate of Adam.
    """

    combine: Literal["max", "mean", "min"] = "max"
    divergence: Literal["kl", "js"] = "kl"
    own: bool = False
    width: int = 0
    gate: Literal["target", "source"] = "target"
    epochs: int = 20
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        check_ranges(self, width=(0, WIDEST), epochs=(1, 100_000), learning_rate=(1e-9, 1.0))
        if self.width % 4:
            raise ValueError(f"width must be a multiple of 4; it is {self.width}")


class Block(nn.Module):
    """Refines the initial predictions of two tasks by a gated message from each other.

    Convolutions to features, attention-gated messages, and decoders as PAD-Net's: two bottlenecks
    and a convolution.

    Source: TCD figure 8 and supplement, section 1; Xu et al. 2018, module C.
    """

    def __init__(self, tasks: Tasks, width: int, gate: Literal["target", "source"]) -> None:
        super().__init__()
        embed = {name: Embed(task.channels, width) for name, task in tasks.items()}
        self.embed = nn.ModuleDict(embed)
        self.distil = Distil(list(tasks), width, gate)
        self.decoders = nn.ModuleDict()
        for name, task in tasks.items():
            refining = bottlenecks(width, width)
            head = nn.Conv2d(width, task.channels, 1)
            self.decoders[name] = nn.Sequential(refining, head)

    def forward(self, initial: Raw) -> Raw:
        """The refined raw outputs [b, channels, h, w] of two tasks, from initial predictions."""
        features = {name: embed(initial[name]) for name, embed in self.embed.items()}
        refined = self.distil(features, features)
        return {name: decoder(refined[name]) for name, decoder in self.decoders.items()}


class Committee(TrainedStatistic):
    """Each task's distance between the initial prediction and its committee.

    It is computed at the heads' resolution. The members are the refined predictions of the pairwise
    blocks. A member's distance is the task's disagreement, its mean over the pixels that show the
    image. Known labels are not fed in. With several scales, the finest is read.

    Source: TCD eq. 1; supplement, sections 1, 4 and 5.
    """

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options
        self.blocks = nn.ModuleList()

    def check(self, network: Network, tasks: Tasks) -> None:
        """Refuse a network without initial predictions, and tasks of which none has a member."""
        try:
            output = example_output(network)
        except (AssertionError, RuntimeError, ValueError):  # it takes images of one size alone
            return
        self._check(output, network, tasks)

    def _check(self, output: Output, network: Network, tasks: Tasks) -> None:
        if not output.initial:
            raise ModelError(
                f"The network {type(network).__name__} has one stage. Its predictions are not "
                "refined, so a committee has nothing to compare.",
                next_step='Name a network with two stages, such as [network] name = "pad_net", or '
                "another strategy.",
            )
        if len(tasks) < 2 and not self.options.own:
            raise ModelError(
                "A committee compares the predictions of two or more tasks; the project has "
                f"{len(tasks)}.",
                next_step="Set own = true in [score.committee], or choose another strategy.",
            )

    def setup(self, example: PoolBatch) -> None:
        """Build one block for each two tasks.

        Raises:
            ModelError: as in `check`.
        """
        output = example.output
        tasks = example.tasks
        self._check(output, example.model.network, tasks)
        heads = next(iter(output.initial_features[0].values())).shape[1]
        width = self.options.width or -(-heads // 4) * 4
        self.blocks.extend(
            Block(dict(pair), width, self.options.gate) for pair in combinations(tasks.items(), 2)
        )

    def fit(self, context: FitContext) -> None:
        """Train the blocks on the labelled images with the tasks' losses.

        The losses are weighted as in the model's training.
        """

        def read(batch: PoolBatch) -> Rows:
            return Rows(initial_predictions(batch), batch.batch.targets)

        def block_losses(rows: Rows) -> Iterator[Tensor]:
            for block in self.blocks:
                raws = block(rows.maps)
                weighted = {}
                for name, raw in raws.items():
                    losses = image_losses(context.tasks[name], [raw], rows.targets[name])
                    weighted[name] = context.weights[name] * losses[0]
                present = targets_present(rows.targets, list(raws))
                yield supervised_loss(weighted, present, "task_sum")

        train(
            "Training the committee",
            self.blocks,
            context=context,
            schedule=Schedule(self.options.epochs, self.options.learning_rate),
            passes=replay_passes(context.labelled, read, context.seed),
            losses=block_losses,
        )

    def __call__(self, batch: PoolBatch) -> AnyFloats:
        """The inconsistencies of a batch, float64 [b, t].

        Nats, or in the unit of the task's distance.
        """
        initial = initial_predictions(batch)
        members: dict[str, list[Floats]] = {name: [] for name in batch.tasks}
        for raws in self._refined(batch, initial):
            for name, raw in raws.items():
                task = batch.tasks[name]
                measure = task.other_disagreements.get(self.options.divergence, task.disagreement)
                refined = task.activate(resize_maps(raw, *initial[name].shape[-2:]))
                gap = measure(initial[name], refined)
                members[name].append(content_means(gap, batch.batch.frames).cpu().numpy())
        combine = COMBINE[self.options.combine]
        return np.stack([combine(means, axis=0) for means in members.values()], 1)

    def _refined(self, batch: PoolBatch, initial: Raw) -> Iterator[Raw]:
        if self.options.own:
            yield batch.output.final
        for block in self.blocks:
            yield block(initial)


def initial_predictions(batch: PoolBatch) -> Raw:
    """The network's initial predictions [b, channels, h, w] by task, at its finest scale."""
    return {name: batch.tasks[name].activate(raw) for name, raw in batch.output.initial[0].items()}


def build(seed: int, options: Options) -> Committee:
    """Build the inconsistency of tasks, with blocks that are not trained yet."""
    return Committee(options)
