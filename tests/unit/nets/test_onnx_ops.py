"""ONNX Runtime computes each operator as torch does, for images of every size."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from labelgrid.nets.blocks import area_means
from labelgrid.nets.onnx_ops import translations
from labelgrid.nets.padding import crop_padding, pad_to_multiple

COVERS = ["labelgrid.nets.blocks", "labelgrid.nets.padding"]

#: Sizes of images: multiples of 32, others, and the smallest.
SIZES = ((64, 64), (65, 97), (96, 33), (17, 31), (32, 200))


class Padded(nn.Module):
    """An image in its padding."""

    def forward(self, image: Tensor) -> Tensor:
        return pad_to_multiple(image, 32)


class Cropped(nn.Module):
    """A map of the padded image, cropped to the image."""

    def forward(self, image: Tensor) -> Tensor:
        padded = pad_to_multiple(image, 32)
        cells = nn.functional.avg_pool2d(padded, 8, 8)
        return crop_padding(cells, 8, *image.shape[-2:])


class Averaged(nn.Module):
    """An image averaged over the areas of a map's cells, which do not divide it."""

    def forward(self, image: Tensor) -> Tensor:
        grid = nn.functional.max_pool2d(image, 7, 5, padding=3)
        height, width = grid.shape[-2:]
        return area_means(image, (height, width))


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[nn.Module, Tensor], Any]:
    """What ONNX Runtime computes; each module is written once."""
    sessions: dict[type[nn.Module], onnxruntime.InferenceSession] = {}
    folder = tmp_path_factory.mktemp("graphs")

    def compute(module: nn.Module, image: Tensor) -> Any:
        kind = type(module)
        if kind not in sessions:
            sessions[kind] = onnxruntime.InferenceSession(_write(module, folder))
        [found] = sessions[kind].run(None, {"image": image.numpy()})
        return found

    return compute


def _write(module: nn.Module, folder: Path) -> Path:
    path = folder / f"{type(module).__name__}.onnx"
    axes: Mapping[int, Any] = {
        2: torch.export.Dim("height", min=17, max=4096),
        3: torch.export.Dim("width", min=17, max=4096),
    }
    program = torch.onnx.export(
        module.eval(),
        (torch.rand(1, 2, 65, 97),),
        dynamic_shapes={"image": axes},
        input_names=["image"],
        opset_version=18,
        custom_translation_table=translations(),
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    program.save(path)
    return path


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("module", [Padded(), Cropped(), Averaged()])
def test_the_graph_computes_what_torch_does(
    computed: Callable[[nn.Module, Tensor], Any], module: nn.Module, size: tuple[int, int]
) -> None:
    image = 80 * torch.rand(1, 2, *size, generator=torch.Generator().manual_seed(0))
    expected = module(image)
    found = torch.from_numpy(computed(module, image))
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("module", [Padded(), Cropped(), Averaged()])
def test_an_exported_program_computes_the_same_in_torch(module: nn.Module) -> None:
    image = torch.rand(1, 2, 65, 97)
    program = torch.export.export(module, (image,), strict=False)
    torch.testing.assert_close(program.module()(image), module(image))
