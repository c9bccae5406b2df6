"""PAD-Net's distillation and the replacement of initial predictions, against slow float64 versions."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from labelgrid.ledger.grid import TaskRow
from labelgrid.nets.blocks import insert_known_labels, known_prediction
from labelgrid.nets.distillation import Distil
from labelgrid.nets.network import Raw
from labelgrid.nets.networks import pad_net
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import build_all, definitions
from labelgrid.testing.networks import TASKS, images, known, made
from tests.slow_layers import Layers

COVERS = [
    "labelgrid.nets.distillation",
    "labelgrid.nets.networks.pad_net",
    "labelgrid.nets.networks.shared_heads",
]
NAMES = ["a", "b", "c"]


@pytest.mark.parametrize("gate", ["target", "source"])
def test_distillation_is_the_sum_of_gated_messages_written_pair_by_pair(gate):
    torch.manual_seed(0)
    distil = Distil(NAMES, 6, gate).double()
    own = {n: torch.randn(2, 6, 5, 7, dtype=torch.float64) for n in NAMES}
    sources = {n: torch.randn(2, 6, 5, 7, dtype=torch.float64) for n in NAMES}
    found = distil(own, sources)
    for target in NAMES:
        expected = own[target].clone()
        for source in NAMES:
            if source == target:
                continue
            place = [n for n in NAMES if n != source].index(target)
            weight = distil.messages[source].weight[6 * place : 6 * place + 6]
            message = functional.conv2d(sources[source], weight, padding=1)
            if gate == "target":
                opened = functional.conv2d(own[target], distil.gates[target].weight, padding=1)
            else:
                opened = functional.conv2d(
                    sources[source],
                    distil.gates[source].weight[6 * place : 6 * place + 6],
                    padding=1,
                )
            expected += message / (1 + torch.exp(-opened))
        torch.testing.assert_close(found[target], expected, rtol=1e-10, atol=1e-10)


def test_a_label_becomes_the_mean_over_its_area_where_half_of_it_is_valid():
    tasks = build_all(
        definitions(
            [TaskRow("s", "semseg", 1, {"classes": ["x", "y", "z"]}), TaskRow("d", "depth", 1)]
        )
    )
    rng = np.random.default_rng(0)
    classes, depth = rng.integers(0, 3, (1, 1, 8, 8)), rng.uniform(1, 5, (1, 1, 8, 8))
    valid = rng.random((1, 1, 8, 8)) < 0.6
    targets = {
        "s": Target(torch.tensor(classes), torch.tensor(valid)),
        "d": Target(torch.tensor(depth).float(), torch.tensor(valid)),
    }
    predictions = {"s": torch.rand(1, 3, 2, 2), "d": torch.rand(1, 1, 2, 2)}
    replaced = insert_known_labels(tasks, predictions, targets)
    for y in range(2):
        for x in range(2):
            area = (slice(4 * y, 4 * y + 4), slice(4 * x, 4 * x + 4))
            seen = valid[0, 0][area]
            if seen.mean() < 0.5:
                assert torch.equal(replaced["s"][..., y, x], predictions["s"][..., y, x])
                continue
            shares = [(classes[0, 0][area][seen] == k).mean() for k in range(3)]
            np.testing.assert_allclose(replaced["s"][0, :, y, x], shares, atol=1e-6)
            np.testing.assert_allclose(
                replaced["d"][0, 0, y, x], depth[0, 0][area][seen].mean(), rtol=1e-6
            )


def test_known_normals_keep_unit_length():
    task = build_all(definitions([TaskRow("n", "normals", 1)]))["n"]
    vectors = functional.normalize(torch.randn(1, 3, 8, 8), dim=1)
    value, valid = known_prediction(
        task, Target(vectors, torch.ones(1, 1, 8, 8, dtype=torch.bool)), (2, 2)
    )
    torch.testing.assert_close(value.norm(dim=1), torch.ones(1, 2, 2))
    assert valid.all()


class Slow(Layers):
    """PAD-Net's equations, from the encoder's fused map on."""

    def block(self, x: Tensor, name: str) -> Tensor:
        inner = x
        for number in (1, 2, 3):
            inner = self.normalise(
                self.convolve(inner, f"{name}.conv{number}"), f"{name}.bn{number}"
            )
            inner = inner.clamp(min=0) if number < 3 else inner
        if f"{name}.downsample.0.weight" in self.state:
            x = self.normalise(self.convolve(x, f"{name}.downsample.0"), f"{name}.downsample.1")
        return (inner + x).clamp(min=0)

    def blocks(self, x: Tensor, name: str) -> Tensor:
        return self.block(self.block(x, f"{name}.0"), f"{name}.1")

    def embedded(self, raw: Raw, labels: Mapping[str, Target]) -> Raw:
        found = {}
        for n in raw:
            prediction = TASKS[n].activate(raw[n])
            if n in labels:
                size = (raw[n].shape[2], raw[n].shape[3])
                value, valid = known_prediction(TASKS[n], labels[n], size)
                prediction = torch.where(valid, value.double(), prediction)
            found[n] = self.layer(prediction, f"embed.{n}")
        return found

    def forward(
        self, fused: Tensor, labels: Mapping[str, Target], own: str, messages: str
    ) -> tuple[Raw, Raw]:
        heads = {n: self.blocks(fused, f"initial_bodies.{n}") for n in TASKS}
        initial = {n: self.convolve(heads[n], f"initial.{n}.convolution") for n in TASKS}
        first = heads if own == "features" else self.embedded(initial, {})
        sent = heads if messages == "features" else self.embedded(initial, labels)
        final = {}
        for target in TASKS:
            refined = first[target].clone()
            gate = 1 / (1 + torch.exp(-self.convolve(first[target], f"distil.gates.{target}")))
            for source in [n for n in TASKS if n != target]:
                place, width = [n for n in TASKS if n != source].index(target), refined.shape[1]
                message = self.convolve(sent[source], f"distil.messages.{source}")
                refined += gate * message[:, place * width : (place + 1) * width]
            final[target] = self.convolve(
                self.blocks(refined, f"final_bodies.{target}"), f"final.{target}.convolution"
            )
        return final, initial


@pytest.mark.parametrize("fed", [False, True])
@pytest.mark.parametrize("messages", ["predictions", "features"])
@pytest.mark.parametrize("own", ["prediction", "features"])
def test_the_network_is_its_equations(own, messages, fed):
    options = pad_net.Options(width=16, own=own, messages=messages)
    network = made(pad_net.build, options).double()
    labels = {n: target for n, target in known(True, False).items() if n != "edges"} if fed else {}
    with torch.no_grad():
        found = network(images().double(), labels or None)
        finals, initials = Slow(network).forward(found.features.shared, labels, own, messages)
    for n in TASKS:
        torch.testing.assert_close(found.final[n], finals[n], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(found.initial[0][n], initials[n], rtol=1e-9, atol=1e-9)
