"""SegNet's and MTAN's forward passes, against slow float64 versions that pool, unpool and upsample cell by cell."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from labelgrid.nets.encoder_options import Stages
from labelgrid.nets.network import Network
from labelgrid.nets.networks import mtan, segnet
from labelgrid.testing.networks import TASKS
from tests.slow_layers import Layers

COVERS = ["labelgrid.nets.one_stage", "labelgrid.nets.unpooling"]
#: Layers of each stage of the encoder, finest first; of the decoder, as many but for the first
#: stage's.
LAYERS = (2, 2, 3, 3, 3)


class Slow(Layers):
    """The networks' equations."""

    def layer(self, x: Tensor, name: str) -> Tensor:
        x = super().layer(x, name)
        if f"{name}.3.weight" in self.state:
            x = self.normalise(self.convolve(x, f"{name}.3"), f"{name}.4").clamp(min=0)
        return x

    def rest(self, x: Tensor, name: str, count: int) -> Tensor:
        for i in range(count):
            x = self.layer(x, f"{name}.{i}")
        return x

    def mask(self, x: Tensor, name: str) -> Tensor:
        x = self.normalise(self.convolve(x, f"{name}.0"), f"{name}.1").clamp(min=0)
        return 1 / (1 + (-self.normalise(self.convolve(x, f"{name}.3"), f"{name}.4")).exp())


def cells(x: Tensor) -> Mapping[tuple[int, ...], np.ndarray]:
    """The 2×2 cells of a map by image, channel, row and column."""
    values = x.detach().numpy()
    places = np.ndindex(*values.shape[:2], values.shape[2] // 2, values.shape[3] // 2)
    return {
        (b, c, y, z): values[b, c, 2 * y : 2 * y + 2, 2 * z : 2 * z + 2] for b, c, y, z in places
    }


def pool(x: Tensor) -> Tensor:
    found = np.zeros((*x.shape[:2], x.shape[2] // 2, x.shape[3] // 2))
    for place, cell in cells(x).items():
        found[place] = cell.max()
    return torch.from_numpy(found)


def unpool(small: Tensor, like: Tensor) -> Tensor:
    """Each value where the maximum of its cell of `like` was; the first of several equal maxima."""
    found = np.zeros(like.shape)
    for (b, c, y, z), cell in cells(like).items():
        row, column = divmod(int(cell.argmax()), 2)
        found[b, c, 2 * y + row, 2 * z + column] = small[b, c, y, z]
    return torch.from_numpy(found)


def enlarge(x: Tensor, corners: bool) -> Tensor:
    """Twice as many cells along both axes, interpolated linearly between the centres of cells."""
    matrices = []
    for side in x.shape[-2:]:
        matrix = torch.zeros(2 * side, side, dtype=x.dtype)
        for i in range(2 * side):
            at = (
                i * (side - 1) / (2 * side - 1)
                if corners
                else min(max((i + 0.5) / 2 - 0.5, 0), side - 1)
            )
            low = min(int(at), side - 1)
            matrix[i, low] += 1 - (at - low)
            matrix[i, min(low + 1, side - 1)] += at - low
        matrices.append(matrix)
    return matrices[0] @ x @ matrices[1].T


def trunk(
    slow: Slow, image: Tensor
) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
    """The encoder's first and last maps and pooled maps.

    The decoder's inputs and outputs, all finest first.
    """
    first, second, pooled, x = [], [], [], image
    for i in range(5):
        first.append(slow.layer(x, f"encoder.first.{i}"))
        second.append(slow.rest(first[i], f"encoder.second.{i}", LAYERS[i] - 1))
        x = pool(second[i])
        pooled.append(x)
    raised, decoded = [], []
    for i in (4, 3, 2, 1, 0):
        raised.insert(0, unpool(x, second[i]))
        x = slow.layer(raised[0], f"encoder.first_up.{i}")
        x = slow.rest(x, f"encoder.second_up.{i}", LAYERS[i] - 1)
        decoded.insert(0, x)
    return first, second, pooled, raised, decoded


def last_mask(slow: Slow, name: str, maps: tuple[list[Tensor], ...], corners: bool) -> Tensor:
    """A task's mask of the decoder's last map: Liu et al. 2019, eqs. 1 and 2, stage by stage."""
    first, second, _, raised, decoded = maps
    taken: list[Tensor] = []
    for i in range(5):
        inputs = torch.cat([first[i], *taken[-1:]], 1)
        passed = slow.mask(inputs, f"attention.{name}.down.{i}") * second[i]
        taken.append(pool(slow.layer(passed, f"between.{i}")))
    found = taken[-1]
    for i in (4, 3, 2, 1, 0):
        up = slow.layer(enlarge(found, corners), f"between_up.{i}")
        found = slow.mask(torch.cat([raised[i], up], 1), f"attention.{name}.up.{i}")
        found = found * decoded[i] if i else found
    return found


def made(build: Callable[..., Network], options: object, training: bool) -> Network:
    torch.manual_seed(0)
    network = build(TASKS, None, options).double().train(training)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for part in (module.weight, module.bias, module.running_mean, module.running_var):
                nn.init.uniform_(part, 0.2, 1)  # type: ignore[arg-type]
        elif isinstance(module, nn.Conv2d):
            nn.init.uniform_(module.bias, -0.1, 0.1)  # type: ignore[arg-type]
    return network


def heads(slow: Slow, name: str, x: Tensor) -> Tensor:
    return slow.convolve(slow.convolve(x, f"bodies.{name}"), f"last.{name}.convolution")


@pytest.mark.parametrize(
    ("stages", "training"),
    [("standard", False), ("standard", True), ("wide", True), ("deep", True)],
)
def test_segnet_is_the_forward_pass_written_cell_by_cell(stages: Stages, training: bool) -> None:
    options = segnet.Options(width=2, dropout=0.0, stages=stages)
    network = made(segnet.build, options, training)
    assert network(torch.rand(2, 3, 32, 32).double()).features.deepest.shape[1] == (
        32 if stages == "wide" else 16
    )
    image, slow = torch.rand(2, 3, 32, 64, dtype=torch.float64), Slow(network)
    _, _, pooled, _, decoded = trunk(slow, image)
    output = network(image)
    torch.testing.assert_close(output.features.shared, decoded[0], rtol=1e-9, atol=1e-9)
    for level, wanted in zip(output.features.levels, pooled, strict=True):
        torch.testing.assert_close(level, wanted, rtol=1e-9, atol=1e-9)
    for name, raw in output.final.items():
        torch.testing.assert_close(raw, heads(slow, name, decoded[0]), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("align", "training"), [("centres", False), ("corners", False), ("centres", True)]
)
def test_mtan_is_its_equations_written_stage_by_stage(align: str, training: bool) -> None:
    network = made(mtan.build, mtan.Options(width=2, align=align, dropout=0.0), training)  # type: ignore[arg-type]
    image, slow = torch.rand(2, 3, 32, 64, dtype=torch.float64), Slow(network)
    maps, output = trunk(slow, image), network(image)
    for name, raw in output.final.items():
        passed = last_mask(slow, name, maps, align == "corners") * maps[4][0]
        torch.testing.assert_close(raw, heads(slow, name, passed), rtol=1e-8, atol=1e-9)
