"""Passes messages between tasks: embeds predictions, and adds those of other tasks through attention gates."""

from typing import Literal

import torch
from torch import nn

from labelgrid.nets.network import Raw


class Embed(nn.Sequential):
    """Embeds a prediction: 3×3 convolution, batch norm, ReLU."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )


class Distil(nn.Module):
    """Attention-gated messages between tasks: O_t = F_t + sum over a ≠ t of G ⊙ (W_at E_a).

    E_a are source a's embedded prediction (or known label), F_t the target's own feature, and G =
    sigmoid(W_g ·) of the target's F_t (one gate a target) or of the source's E_a (one a pair). The
    messages of one source share one wide convolution.

    Source: Xu et al. 2018 (PAD-Net), module C; PartAL figure 3.
    """

    def __init__(self, names: list[str], width: int, gate: Literal["target", "source"]) -> None:
        super().__init__()
        self.names = names
        self.gate = gate
        others = len(names) - 1
        self.messages = nn.ModuleDict({n: _wide(width, others) for n in names if others})
        gates = 1 if gate == "target" else others
        self.gates = nn.ModuleDict({n: _wide(width, gates) for n in names if others})

    def forward(self, own: Raw, sources: Raw) -> Raw:
        """Refine the tasks' own features with messages from the sources.

        All are [b, width, h, w], by task.
        """
        refined = dict(own)
        if not self.messages:
            return refined
        target_gates = (
            {t: torch.sigmoid(gate(own[t])) for t, gate in self.gates.items()}
            if self.gate == "target"
            else {}
        )
        for a in self.names:
            targets = [t for t in self.names if t != a]
            parts = self.messages[a](sources[a]).chunk(len(targets), 1)
            if self.gate == "source":
                gates = torch.sigmoid(self.gates[a](sources[a])).chunk(len(targets), 1)
            else:
                gates = tuple(target_gates[t] for t in targets)
            for t, part, gate in zip(targets, parts, gates, strict=True):
                refined[t] = refined[t] + gate * part
        return refined


def _wide(width: int, times: int) -> nn.Conv2d:
    return nn.Conv2d(width, width * times, 3, padding=1, bias=False)
