"""Passes messages between tasks: embeds predictions, and adds them through attention gates."""

from typing import Literal

import torch
from torch import Tensor, nn

from labelgrid.nets.blocks import activate, insert_known_labels, run_each
from labelgrid.nets.encoder_options import ExchangeOptions
from labelgrid.nets.network import Raw
from labelgrid.pixel.target import Targets
from labelgrid.tasks.task import Tasks

#: Why a network with such messages ignores known labels.
NOT_REPLACED = 'makes messages of hidden features (messages = "features")'


class Embed(nn.Sequential):
    """Embeds a prediction: 3×3 convolution, batch norm, ReLU."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )


def embeddings(tasks: Tasks, width: int) -> nn.ModuleDict:
    """The layers that embed each task's prediction, by task."""
    return nn.ModuleDict({name: Embed(task.channels, width) for name, task in tasks.items()})


class Exchange(nn.Module):
    """Initial heads whose tasks exchange messages; `add_exchange` adds the layers."""

    def add_exchange(self, tasks: Tasks, width: int, options: ExchangeOptions) -> None:
        """Add the embeddings of predictions, unless nothing reads them, and the distillation."""
        self.tasks = dict(tasks)
        self.own = options.own
        self.sent = options.messages
        embeds = options.own == "prediction" or options.messages == "predictions"
        self.embed = embeddings(tasks if embeds else {}, width)
        self.distil = Distil(list(tasks), width, options.gate)

    def refine(self, heads: Raw, initial: Raw, known_labels: Targets | None) -> Raw:
        """Each task's own feature with the messages of the others.

        In messages from predictions known labels replace these.

        Args:
            heads: the initial heads' features.
            initial: their raw outputs.
            known_labels: the known labels.
        """
        predictions = activate(self.tasks, initial)
        sources = heads
        if self.sent == "predictions":
            sources = run_each(
                self.embed, insert_known_labels(self.tasks, predictions, known_labels)
            )
        features = heads
        if self.own == "prediction":
            same = self.sent == "predictions" and not known_labels
            features = sources if same else run_each(self.embed, predictions)
        return self.distil(features, sources)


def reason_to_ignore_known(options: ExchangeOptions) -> str:
    """Why known labels change nothing in a network with the options; "" if they do."""
    return NOT_REPLACED if options.messages == "features" else ""


class Distil(nn.Module):
    """Attention-gated messages between tasks: O_t = F_t + sum over a ≠ t of G ⊙ (W_at E_a).

    E_a is the embedded prediction (or known label) of source a, F_t the target's own feature, and G
    = sigmoid(W_g ·) of the target's F_t (one gate a target) or of the source's E_a (one gate a
    pair). The messages of one source share one wide convolution.

    Source: Xu et al. 2018 (PAD-Net), module C; PartAL figure 3.
    """

    def __init__(self, names: list[str], width: int, gate: Literal["target", "source"]) -> None:
        super().__init__()
        self.names = names
        self.gate = gate
        others = len(names) - 1
        gates = 1 if gate == "target" else others
        self.messages = nn.ModuleDict()
        self.gates = nn.ModuleDict()
        if others:
            for name in names:
                self.messages[name] = _convolution(width, others)
            for name in names:
                self.gates[name] = _convolution(width, gates)

    def forward(self, features: Raw, sources: Raw) -> Raw:
        """Refine the tasks' own features with messages from the sources.

        All are [b, width, h, w], by task.
        """
        refined = dict(features)
        if not self.messages:
            return refined
        target_gates = {}
        if self.gate == "target":
            target_gates = {target: self._compute_gates(target, features) for target in self.gates}
        for source in self.names:
            targets = [name for name in self.names if name != source]
            messages = self.messages[source](sources[source]).chunk(len(targets), 1)
            if self.gate == "source":
                gates = self._compute_gates(source, sources).chunk(len(targets), 1)
            else:
                gates = tuple(target_gates[target] for target in targets)
            for target, message, gate in zip(targets, messages, gates, strict=True):
                refined[target] = refined[target] + gate * message
        return refined

    def _compute_gates(self, name: str, features: Raw) -> Tensor:
        return torch.sigmoid(self.gates[name](features[name]))


def _convolution(width: int, times: int) -> nn.Conv2d:
    return nn.Conv2d(width, width * times, 3, padding=1, bias=False)
