"""PAD-Net's distillation and the replacement of initial predictions, against slow float64 versions."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from labelgrid.ledger.grid import TaskRow
from labelgrid.nets.blocks import insert_known_labels, known_prediction
from labelgrid.nets.distillation import Distil
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import build_all, definitions

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
