"""Normals of predicted depth beside those of labels, which have a reference of their own."""

import numpy as np
import pytest
import torch

from labelgrid.basics.camera import Camera
from labelgrid.formats.codec import LabelArray
from labelgrid.pixel.plane_normals import plane_normals
from labelgrid.relations.derivations.depth_normals import Options, derive_normals

SIZE = (21, 30)
RNG = np.random.default_rng(5)


def surface(roughness: float) -> np.ndarray:
    """A rough, curved surface [h, w]."""
    rows, columns = np.indices(SIZE)
    smooth = 2 + 0.03 * columns + 0.01 * rows + 0.3 * np.sin(columns / 9) * np.cos(rows / 7)
    return smooth * (1 + roughness * RNG.normal(size=SIZE))


def camera() -> Camera:
    return Camera(
        fx=float(RNG.uniform(15, 600)),
        fy=float(RNG.uniform(15, 600)),
        cx=float(RNG.uniform(5, 25)),
        cy=float(RNG.uniform(5, 15)),
    )


@pytest.mark.parametrize("radius", [1, 2, 5])
@pytest.mark.parametrize("roughness", [0.0, 1e-4, 0.01])
def test_normals_of_predicted_depth_are_those_of_such_a_label(
    radius: int, roughness: float
) -> None:
    options = Options(radius=radius, residual=88.0)
    cameras = [camera() for _ in range(4)]
    depths = np.stack([surface(roughness) for _ in cameras])
    present = RNG.random(depths.shape) < 0.9
    predicted = torch.from_numpy(np.where(present, depths, -1))[:, None]
    rows = torch.tensor([[c.fx, c.fy, c.cx, c.cy] for c in cameras], dtype=torch.float64)
    found = plane_normals(predicted, rows, radius=radius, least=options.least)
    assert found.value.dtype == torch.float64
    for i, one in enumerate(cameras):
        label = derive_normals(options, [LabelArray(depths[i, ..., None], present[i])], one)
        assert label.valid.sum() > 50
        valid = found.valid[i, 0].numpy()
        assert valid[label.valid].all() and not valid[~present[i]].any()
        value = found.value[i].permute(1, 2, 0).numpy()
        np.testing.assert_allclose(value[label.valid], label.value[label.valid], atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(value[valid], axis=-1), 1, atol=1e-9)
        assert not value[~valid].any()


def test_single_precision_gives_nearly_the_same_even_with_a_long_lens() -> None:
    rows, columns = np.indices(SIZE)
    depth = torch.from_numpy(1 / (0.5 + 3e-4 * columns + 2e-4 * rows))[None, None]
    lens = torch.tensor([[600.0, 600.0, 14.5, 10.0]])
    double = plane_normals(depth, lens, radius=2, least=0.3)
    single = plane_normals(depth.float(), lens, radius=2, least=0.3)
    assert single.value.dtype == torch.float32
    assert single.valid.all() and double.valid.all()
    torch.testing.assert_close(single.value.double(), double.value, atol=1e-4, rtol=0)
