"""MTI-Net's forward pass against a slow float64 version, from the encoder's maps and the network's tensors alone."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from labelgrid.nets.blocks import known_prediction
from labelgrid.nets.network import Raw
from labelgrid.nets.networks import mti_net
from labelgrid.pixel.target import Target
from labelgrid.testing.networks import TASKS, images, known, made
from tests.slow_layers import Layers

COVERS = ["labelgrid.nets.networks.mti_net", "labelgrid.nets.networks.mti_net"]
NAMES = list(TASKS)


class Slow(Layers):
    """The network's equations."""

    def __init__(self, network: torch.nn.Module, options: mti_net.Options) -> None:
        super().__init__(network)
        self.source = options.gate == "source"
        self.features = options.own == "features"
        self.sends_features = options.messages == "features"
        self.public = options.propagate == "public"

    def block(self, x: Tensor, name: str) -> Tensor:
        inner = self.normalise(self.convolve(x, f"{name}.conv1"), f"{name}.bn1").clamp(min=0)
        inner = self.normalise(self.convolve(inner, f"{name}.conv2"), f"{name}.bn2")
        if f"{name}.downsample.0.weight" in self.state:
            x = self.normalise(self.convolve(x, f"{name}.downsample.0"), f"{name}.downsample.1")
        return (inner + x).clamp(min=0)

    def compared(self, place: int, width: int) -> list[int]:
        """The channels of the concatenation that the softmax compares with one of them."""
        if self.public:
            start = place - place % len(NAMES)
            return [start + step for step in range(len(NAMES))]
        return [task * width + place % width for task in range(len(NAMES))]

    def propagate(self, features: Raw, name: str) -> Raw:
        joined = torch.cat([features[n] for n in NAMES], 1)
        narrow = self.block(self.block(joined, f"{name}.weigh.0.0"), f"{name}.weigh.0.1")
        powers = self.convolve(narrow, f"{name}.weigh.1").exp()
        width = len(features[NAMES[0]][0])
        weighed = []
        for place in range(len(NAMES) * width):
            total = sum(powers[:, other] for other in self.compared(place, width))
            weighed.append(powers[:, place] / total * joined[:, place])
        shared = self.block(torch.stack(weighed, 1), f"{name}.reduce.0")
        refined = {}
        for n in NAMES:
            (w1, b1), (w2, b2) = (
                [self.state[f"{name}.excite.{n}.factors.{i}.{part}"] for part in ("weight", "bias")]
                for i in (0, 2)
            )
            squeezed = shared.mean((2, 3)) @ w1.T + b1
            factors = 1 / (1 + torch.exp(-(squeezed.clamp(min=0) @ w2.T + b2)))
            refined[n] = features[n] + shared * factors[:, :, None, None]
        return refined

    def distil(self, own: Raw, sources: Raw, name: str) -> Raw:
        refined = {n: x.clone() for n, x in own.items()}
        for target in NAMES:
            for source in NAMES:
                if source == target:
                    continue
                place, width = [n for n in NAMES if n != source].index(target), own[target].shape[1]
                rows = slice(place * width, (place + 1) * width)
                message = functional.conv2d(
                    sources[source], self.state[f"{name}.messages.{source}.weight"][rows], padding=1
                )
                gate = self.state[f"{name}.gates.{source if self.source else target}.weight"]
                seen = (sources[source], gate[rows]) if self.source else (own[target], gate)
                refined[target] += message / (1 + torch.exp(-functional.conv2d(*seen, padding=1)))
        return refined

    def forward(
        self, levels: tuple[Tensor, ...], labels: dict[str, Target]
    ) -> tuple[Raw, list[Raw]]:
        coarser: Raw = {}
        replaced = {} if self.sends_features else labels
        refined, initials = [], []
        if "reduce.0.0.weight" in self.state:
            levels = tuple(
                self.layer(level, f"reduce.{scale}") for scale, level in enumerate(levels)
            )
        for scale in (3, 2, 1, 0):
            size = levels[scale].shape[-2:]
            inputs = dict.fromkeys(NAMES, levels[scale])
            if coarser:
                passed = self.propagate(coarser, f"propagate.{scale}")
                raised = {
                    n: functional.interpolate(x, size=size, mode="bilinear")
                    for n, x in passed.items()
                }
                inputs = {n: torch.cat([levels[scale], raised[n]], 1) for n in NAMES}
            here = f"scales.{scale}"
            coarser = {
                n: self.block(self.block(inputs[n], f"{here}.bodies.{n}.0"), f"{here}.bodies.{n}.1")
                for n in NAMES
            }
            initial = {
                n: self.convolve(coarser[n], f"{here}.initial.{n}.convolution") for n in NAMES
            }
            predicted = {n: TASKS[n].activate(initial[n]) for n in NAMES}
            plain = coarser
            if not self.features or not self.sends_features:
                plain = {n: self.layer(predicted[n], f"{here}.embed.{n}") for n in NAMES}
            sources = dict(coarser if self.sends_features else plain)
            for n, target in replaced.items():
                value, valid = known_prediction(TASKS[n], target, (size[0], size[1]))
                sources[n] = self.layer(
                    torch.where(valid, value.double(), predicted[n]), f"{here}.embed.{n}"
                )
            refined.append(
                self.distil(coarser if self.features else plain, sources, f"{here}.distil")
            )
            initials.append(initial)
        size = levels[0].shape[-2:]
        finals = {}
        for n in NAMES:
            whole = torch.cat(
                [
                    functional.interpolate(scale[n], size=size, mode="bilinear")
                    for scale in refined[::-1]
                ],
                1,
            )
            finals[n] = self.convolve(
                self.layer(whole, f"final_bodies.{n}"), f"final.{n}.convolution"
            )
        return finals, initials[::-1]


@pytest.mark.parametrize("fed", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        mti_net.Options(),
        mti_net.Options(gate="source", own="features"),
        mti_net.Options(width=6),
        mti_net.Options(gate="source", own="features", propagate="public"),
        mti_net.Options(width=6, propagate="public"),
        mti_net.Options(messages="features"),
        mti_net.Options(gate="source", own="features", messages="features", propagate="public"),
    ],
    ids=["paper", "features", "narrow", "public", "narrow-public", "sent", "released"],
)
def test_the_network_is_its_equations_scale_by_scale(options: mti_net.Options, fed: bool) -> None:
    network = made(mti_net.build, options).double()
    labels = {n: target for n, target in known(True, False).items() if n != "edges"} if fed else {}
    with torch.no_grad():
        found = network(images().double(), labels or None)
        finals, initials = Slow(network, options).forward(found.features.levels, labels)
    assert len(found.initial) == 4
    for mine, slow in zip((found.final, *found.initial), (finals, *initials), strict=True):
        for n in NAMES:
            torch.testing.assert_close(mine[n], slow[n], rtol=1e-9, atol=1e-9)
