"""How maps are shown to people: colours of classes, distances, vectors and uncertainties. NumPy alone, no torch.

Colours are for people with any colour vision: class colours are far apart also as red- and green-blind people see
them, distances and heat run through one scale of growing lightness, and pixels that are not valid are hatched grey.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelgrid.tasks.task import Range, TaskDef

RGB = NDArray[np.uint8]

# Five evenly spaced stops of Matplotlib's viridis and inferno (CC0), dark to bright.
VIRIDIS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
INFERNO = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
#: Pixels of the widest small picture.
WIDTH = 320
HATCH = np.array([[72, 72, 72], [104, 104, 104]], np.uint8)

# From linear sRGB to what a green-blind and a red-blind person sees (Machado, Oliveira & Fernandes 2009).
_VISIONS = (
    ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
)
# From linear sRGB to cone responses and from their cube roots to Oklab (Ottosson 2020).
_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_OKLAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)


def colour_map(task: TaskDef, value: NDArray[Any], valid: ArrayLike = True, limits: Range | None = None) -> RGB:
    """A label or a prediction of label form as a picture [h, w, 3], hatched where not valid or not finite.

    Args:
        task: its kind says how values are shown (`Spec.render`).
        value: [h, w, c].
        valid: bool [h, w], or one for all.
        limits: the values at the ends of the scale (low and high; of distances near and far), for pictures to compare;
            otherwise of distances found in the map, of others 0 and 1.

    Example:
        >>> from labelgrid.labels.grid import TaskRow
        >>> depth = TaskDef.of(TaskRow("depth", "depth", 1.0))
        >>> colour_map(depth, np.array([[[1.0], [9.0]]]))[0].tolist()  # near is bright, far is dark
        [[253, 231, 37], [68, 1, 84]]
    """
    seen = np.isfinite(value).all(2) & valid
    return _hatched(task.render(np.where(seen[..., None], value, 0), seen, limits), seen)


def heat_map(value: NDArray[Any], limits: Range | None = None) -> RGB:
    """A map [h, w] of uncertainties or errors as a picture [h, w, 3], dark to bright, hatched where not finite."""
    seen = np.isfinite(value)
    safe = np.where(seen, value, 0)
    return _hatched(_along(INFERNO, safe, limits or _range(safe, seen)), seen)


@cache
def palette(count: int) -> RGB:
    """Colours [count, 3] of classes; a class keeps its colour when classes are added.

    Each is the farthest from all before it, by Oklab distance in the worst of three visions: common (counted half,
    it tells more apart), green-blind and red-blind. White and the hatching's greys are kept clear of, and so are
    the near-black, near-white and near-grey. There are some 1,600 colours, then they repeat.
    """
    steps = np.linspace(0, 255, 13).round().astype(np.uint8)
    candidates = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    lightness, green_red, blue_yellow = _seen(candidates)[0].T
    clear = (lightness > 0.35) & (lightness < 0.95) & (np.hypot(green_red, blue_yellow) > 0.1)
    candidates = candidates[clear]
    seen, nearest = _seen(candidates), np.full(len(candidates), np.inf)
    for taken in _seen(np.concatenate([HATCH, np.full((1, 3), 255, np.uint8)])).swapaxes(0, 1):
        nearest = np.minimum(nearest, _apart(seen, taken))
    picked: list[int] = []
    while len(picked) < min(count, len(candidates)):
        picked.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, _apart(seen, seen[:, picked[-1]]))
    colours = candidates[np.resize(np.array(picked, np.int64), count)]
    colours.flags.writeable = False  # the cache hands the same array to everyone
    return colours


def jpeg(picture: np.ndarray) -> bytes:
    """A picture [h, w, 3] as a small JPEG file."""
    import cv2  # not above: a kind of task imports this module for its plain data

    height, width = picture.shape[:2]
    scale = min(1.0, WIDTH / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1].tobytes())


def _seen(colours: RGB) -> NDArray[np.float64]:
    """Colours [n, 3] as places in Oklab, [visions, n, 3]."""
    srgb = colours / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    visions = np.clip(np.einsum("vij,nj->vni", np.array(_VISIONS), linear), 0, 1)
    places: NDArray[np.float64] = np.cbrt(visions @ np.array(_CONES).T) @ np.array(_OKLAB).T
    return places


def _apart(seen: NDArray[np.float64], place: NDArray[np.float64]) -> NDArray[np.float64]:
    distances = np.linalg.norm(seen - place[:, None], axis=2)
    distances[0] /= 2
    least: NDArray[np.float64] = distances.min(0)
    return least


def _hatched(picture: RGB, seen: NDArray[np.bool_]) -> RGB:
    rows, columns = np.indices(seen.shape)
    return np.where(seen[..., None], picture, HATCH[(rows + columns) // 4 % 2])


def _range(value: NDArray[Any], seen: NDArray[np.bool_]) -> Range:
    """Where all but a hundredth at either end lies: a few outliers don't use up the scale."""
    low, high = np.percentile(value[seen], (1, 99)) if seen.any() else (0.0, 0.0)
    return float(low), float(high)


def _along(stops: tuple[tuple[int, int, int], ...], value: NDArray[Any], limits: Range) -> RGB:
    """Each value's colour between the stops; `limits` may run downwards."""
    low, high = limits
    share = (value.astype(np.float64) - low) / (high - low or 1.0)
    places, colours = np.linspace(0, 1, len(stops)), np.array(stops, np.float64)
    return np.stack([np.interp(share, places, colours[:, c]) for c in range(3)], -1).round().astype(np.uint8)


def class_colours(value: NDArray[Any], _valid: NDArray[np.bool_], _limits: Range | None, options: Any) -> RGB:
    """The `render` of class indices [h, w, 1]: a colour a class."""
    return palette(len(options.classes))[value[..., 0].astype(np.int64)]


def grey(value: NDArray[Any], _valid: NDArray[np.bool_], limits: Range | None, _options: object) -> RGB:
    """The `render` of shares [h, w, 1]: 0 is black, 1 is white."""
    return _along(((0, 0, 0), (255, 255, 255)), value[..., 0], limits or (0.0, 1.0))


def vectors(value: NDArray[Any], _valid: NDArray[np.bool_], _limits: Range | None, _options: object) -> RGB:
    """The `render` of unit vectors [h, w, 3]: each direction as red, green and blue."""
    return np.clip((value + 1) * 127.5, 0, 255).round().astype(np.uint8)


def along_distance(value: NDArray[Any], valid: NDArray[np.bool_], limits: Range | None, larger_is_nearer: bool) -> RGB:
    """Distances, or what grows toward the camera, [h, w]: near is bright; `limits` are the values near and far."""
    near, far = limits or _range(value, valid)[:: -1 if larger_is_nearer else 1]
    return _along(VIRIDIS, value, (far, near))
