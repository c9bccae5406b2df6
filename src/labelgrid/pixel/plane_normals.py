"""Derives normals from maps of depth, with gradients: planes are fitted to the inverse depth."""

import torch
from torch import Tensor
from torch.nn import functional

from labelgrid.pixel.prediction import unit_vectors
from labelgrid.pixel.target import Target

#: Metres. A nearer depth is not valid: predictions go through 0, and gradients grow as one over it.
NEAREST = 0.01


def plane_normals(depth: Tensor, camera: Tensor, *, radius: int, least: float) -> Target:
    """Normals (x right, y up, z toward the camera) of depths in metres along the camera's axis.

    The normals are those of the relation `depth_normals`, also where planes fit badly: predictions
    are rough, and would be valid nowhere. Computed in float64, since the sums of a window nearly
    cancel out; autocast leaves it alone, too.

    Args:
        depth: any values [b, 1, h, w]; depths below `NEAREST` are not valid.
        camera: [b, 4], fx, fy, cx and cy in pixels of the maps.
        radius: the pixels of the window to each side of its middle.
        least: the least share of the window's pixels with a valid depth.

    Returns:
        Unit vectors [b, 3, h, w] of the depth's type; 0 where not valid.

    Example:
        >>> camera = torch.tensor([[8.0, 8.0, 3.5, 3.5]])
        >>> found = plane_normals(torch.full((1, 1, 8, 8), 2.0), camera, radius=2, least=0.3)
        >>> bool(found.valid.all()), found.value[0, 2].min().item()
        (True, 1.0)
    """
    valid = (depth.isfinite() & (depth >= NEAREST))[:, 0]
    metres = torch.where(valid, depth[:, 0], 1).double()
    inverse = torch.where(valid, 1 / metres, 0)
    across, down, middle, fitted = _fit_planes(inverse, valid, radius, least)
    fx, fy, cx, cy = camera.double()[:, :, None, None].unbind(1)
    height, width = valid.shape[-2:]
    columns = torch.arange(width, device=depth.device) - cx
    rows = torch.arange(height, device=depth.device)[:, None] - cy
    toward = middle - across * columns - down * rows
    vectors = torch.stack([-across * fx, down * fy, toward], 1)
    good = (fitted & vectors.any(1))[:, None]
    value = unit_vectors(torch.where(good, vectors, 0))
    return Target(value.to(depth.dtype), good)


def _fit_planes(
    inverse: Tensor, valid: Tensor, radius: int, least: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Fit planes to the valid values [b, h, w] around each pixel, by least squares.

    Invalid values are 0. Products are `count` times sums of products of deviations from the mean.

    Returns:
        The factors `across`, `down` and `middle` of `across * du + down * dv + middle` at an offset
        (du, dv), and where there is a depth and a plane can be fitted.
    """
    weights = _moments(valid.double(), radius)
    (count, n_v, n_vv), (n_u, n_uv, _), (n_uu, _, _) = weights
    (total, w_v, _), (w_u, _, _), _ = _moments(inverse, radius)
    uu = count * n_uu - n_u**2
    uv = count * n_uv - n_u * n_v
    vv = count * n_vv - n_v**2
    uw = count * w_u - n_u * total
    vw = count * w_v - n_v * total
    determinant = uu * vv - uv**2
    safe = determinant.clamp(min=1)
    across = (uw * vv - vw * uv) / safe
    down = (vw * uu - uw * uv) / safe
    middle = (total - across * n_u - down * n_v) / count.clamp(min=1)
    enough = count >= least * (2 * radius + 1) ** 2
    return across, down, middle, valid & enough & (determinant > 0)


def _moments(maps: Tensor, radius: int) -> list[tuple[Tensor, ...]]:
    """Sums of maps [b, h, w] times du^p dv^q over each window, at [p][q]; p, q < 3."""
    offsets = torch.arange(-radius, radius + 1, dtype=maps.dtype, device=maps.device)
    powers = torch.stack([torch.ones_like(offsets), offsets, offsets**2])[:, None]
    in_rows = functional.conv2d(maps[:, None], powers[:, :, None], padding=(0, radius))
    kernels = powers[..., None].repeat(3, 1, 1, 1)
    sums = functional.conv2d(in_rows, kernels, padding=(radius, 0), groups=3)
    return [of_power.unbind(1) for of_power in sums.chunk(3, 1)]
