"""How an image and its labels are brought to the training size together: fit, zoom and flip as one placement."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from labelgrid.labels.codec import LabelArray
from labelgrid.tasks.task import Geometry, TaskDef

Pixels = NDArray[np.uint8]
Fit = Literal["resize", "crop", "pad"]
Size = tuple[int, int]
#: Factors of brightness, contrast and saturation.
Jitter = tuple[float, float, float]


@dataclass(frozen=True)
class DataOptions:
    """How images become a network's input.

    Args:
        size: height and width in training, and the size that images are fitted to everywhere.
        fit: "resize" stretches the image to the size; "crop" keeps its shape and covers the size (in training a part is
            cut out; else the whole image goes in, in its own shape); "pad" keeps its shape within the size, and what is
            left is not valid in any label.
        flip: probability of a left-right flip in training.
        zoom: factors of which training draws one; below 1 the image shrinks, and what is left is padding.
        at: where training cuts parts out: "random", or always about the "centre" (the survey's zoom).
        jitter: brightness, contrast and saturation change by up to this share in training; 0: not at all.
        mean, std: of the normalised input's channels (RGB in 0..1); ImageNet's.
    """

    size: Size = (96, 128)
    fit: Fit = "resize"
    flip: float = 0.5
    zoom: tuple[float, ...] = (1.0,)
    at: Literal["random", "centre"] = "random"
    jitter: float = 0.0
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            raise ValueError(f"size must be at least 1x1; it is {self.size[0]}x{self.size[1]}")
        if not 0 <= self.flip <= 1 or not 0 <= self.jitter <= 1:
            raise ValueError(f"flip and jitter lie between 0 and 1; they are {self.flip} and {self.jitter}")
        if not self.zoom or min(self.zoom) <= 0:
            raise ValueError(f"zoom needs factors larger than 0; it is {list(self.zoom)}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be larger than 0; it is {list(self.std)}")


@dataclass(frozen=True)
class Example:
    """An image and its labels, of one size: RGB [h, w, 3], and a label a task (missing ones are not there).

    Maps [h, w] go where labels go and keep their values; padding is 0.
    """

    image: Pixels
    labels: Mapping[str, LabelArray]
    maps: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


@dataclass(frozen=True)
class Placement:
    """Which part of an image lies where on the canvas; both parts are whole pixels, so labels follow exactly.

    Args:
        source: the part of the image that is used: rows and columns.
        target: the part of the canvas it fills; the rest is padding.
        canvas: height and width of the result.
        zoom: how much larger things look than the fit alone makes them.
        flip: left and right change places, after everything else.
    """

    source: tuple[slice, slice]
    target: tuple[slice, slice]
    canvas: Size
    zoom: float = 1.0
    flip: bool = False

    @property
    def extent(self) -> Size:
        """Height and width of the target."""
        rows, columns = self.target
        return rows.stop - rows.start, columns.stop - columns.start


def fitted(size: Size, options: DataOptions) -> Placement:
    """Where an image of `size` goes without augmentation: always the whole of it.

    Example:
        >>> fitted((480, 640), DataOptions(size=(96, 96), fit="pad")).target
        (slice(12, 84, None), slice(0, 96, None))
        >>> fitted((480, 640), DataOptions(size=(96, 96), fit="crop")).canvas
        (96, 128)
    """
    if options.fit == "crop":
        scale = max(options.size[0] / size[0], options.size[1] / size[1])
        options = replace(options, size=(_whole(size[0] * scale), _whole(size[1] * scale)), fit="resize")
    return _placed(size, options, 1.0, (0.5, 0.5))


def drawn(size: Size, options: DataOptions, rng: np.random.Generator) -> Placement:
    """Where an image of `size` goes in training: the fit with a drawn zoom, place and flip.

    Always draws the same number of times, so that one option does not shift another's draws.
    """
    flip = bool(rng.random() < options.flip)
    zoom = options.zoom[int(rng.random() * len(options.zoom))]  # integers(1) would draw nothing
    place = rng.random(2)
    at = (float(place[0]), float(place[1])) if options.at == "random" else (0.5, 0.5)
    return replace(_placed(size, options, zoom, at), flip=flip)


def _placed(size: Size, options: DataOptions, zoom: float, at: tuple[float, float]) -> Placement:
    scales = options.size[0] / size[0], options.size[1] / size[1]
    if options.fit != "resize":
        scales = ((max if options.fit == "crop" else min)(scales),) * 2
    axes = [_axis(size[i], options.size[i], scales[i] * zoom, at[i]) for i in range(2)]
    return Placement((axes[0][0], axes[1][0]), (axes[0][1], axes[1][1]), options.size, zoom)


def _axis(length: int, canvas: int, scale: float, at: float) -> tuple[slice, slice]:
    """Along one axis: the part of the image and the part of the canvas it fills, centred where it is smaller."""
    window = min(_whole(canvas / scale), length)
    filled = min(_whole(length * scale), canvas)
    start, offset = round(at * (length - window)), (canvas - filled) // 2
    return slice(start, start + window), slice(offset, offset + filled)


def _whole(length: float) -> int:
    return max(1, round(length))


def place_image(image: Pixels, placement: Placement, options: DataOptions, jitter: Jitter | None = None) -> Pixels:
    """The image on its canvas [H, W, 3]: area means where it shrinks, linear where it grows; padding is the mean."""
    part = image[placement.source]
    height, width = placement.extent
    shrinks = part.shape[0] >= height and part.shape[1] >= width
    part = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    if jitter:
        part = _jittered(part, *jitter)
    if placement.extent != placement.canvas:
        canvas = np.empty((*placement.canvas, 3), np.uint8)
        canvas[:] = np.rint(255 * np.array(options.mean))
        canvas[placement.target] = part
        part = canvas
    return np.ascontiguousarray(part[:, ::-1]) if placement.flip else part


def _jittered(image: Pixels, brightness: float, contrast: float, saturation: float) -> Pixels:
    """Blend with black, with the mean grey and with each pixel's grey (ITU-R BT.601)."""
    colours = image.astype(np.float32) * brightness
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    middle = (colours @ weights).mean()
    colours = middle + (colours - middle) * contrast
    grey = (colours @ weights)[..., None]
    return np.clip(np.rint(grey + (colours - grey) * saturation), 0, 255).astype(np.uint8)


def place_label(label: LabelArray, placement: Placement, geometry: Geometry) -> LabelArray:
    """The label on its canvas: the nearest values; normals linear over valid pixels, of unit length; padding not valid.

    Depth is divided by the zoom, disparity multiplied: things that look larger are nearer. The fit changes neither.
    """
    value, valid = _nearest(label.value, placement), _nearest(label.valid, placement)
    if geometry == "normals":
        value = _blended_normals(label, placement, value)
    elif geometry == "depth":
        value = value / np.float32(placement.zoom)
    elif geometry == "disparity":
        value = value * np.float32(placement.zoom)
    if placement.extent != placement.canvas:
        value, valid = _on_canvas(value, placement), _on_canvas(valid, placement)
    return _flipped(LabelArray(value, valid), geometry) if placement.flip else LabelArray(value, valid)


def place_map(values: NDArray[Any], placement: Placement) -> NDArray[Any]:
    """A map [h, w] on its canvas: the nearest values, unchanged; padding is 0."""
    values = _nearest(values, placement)
    if placement.extent != placement.canvas:
        values = _on_canvas(values, placement)
    return values[:, ::-1].copy() if placement.flip else values


def _nearest(array: NDArray[Any], placement: Placement) -> NDArray[Any]:
    """Of each target pixel the source pixel whose square holds its centre."""
    for axis, (source, length) in enumerate(zip(placement.source, placement.extent, strict=True)):
        extent = source.stop - source.start
        array = array.take(source.start + ((2 * np.arange(length) + 1) * extent) // (2 * length), axis)
    return array


def _blended_normals(label: LabelArray, placement: Placement, nearest: NDArray[Any]) -> NDArray[np.float32]:
    """The direction of the sum of the valid neighbours, weighted linearly; the nearest where they cancel out."""
    value, valid = label.value[placement.source].astype(np.float32), label.valid[placement.source]
    if not valid.all():
        value[~valid] = 0
    blend = cv2.resize(value, placement.extent[::-1], interpolation=cv2.INTER_LINEAR)
    length = np.sqrt(blend[..., 0] ** 2 + blend[..., 1] ** 2 + blend[..., 2] ** 2)
    void = length < 1e-3
    for channel in range(3):  # NumPy is slow along an axis of three
        blend[..., channel] /= np.where(void, 1, length)
    blend[void] = nearest[void]
    return blend


def _on_canvas(part: NDArray[Any], placement: Placement) -> NDArray[Any]:
    canvas = np.zeros((*placement.canvas, *part.shape[2:]), part.dtype)
    canvas[placement.target] = part
    return canvas


def _flipped(label: LabelArray, geometry: Geometry) -> LabelArray:
    value, valid = label.value[:, ::-1].copy(), label.valid[:, ::-1].copy()
    if geometry == "normals":
        value[..., 0] *= -1
    return LabelArray(value, valid)


def place(
    example: Example,
    placement: Placement,
    tasks: Mapping[str, TaskDef],
    options: DataOptions,
    jitter: Jitter | None = None,
) -> Example:
    """An image and its labels on the canvas of one placement."""
    labels = {name: place_label(label, placement, tasks[name].geometry) for name, label in example.labels.items()}
    maps = {name: place_map(values, placement) for name, values in example.maps.items()}
    return Example(place_image(example.image, placement, options, jitter), labels, maps)


def augment(example: Example, tasks: Mapping[str, TaskDef], options: DataOptions, rng: np.random.Generator) -> Example:
    """A training view of an example, drawn from `rng`: the placement first, then the colours."""
    height, width = example.image.shape[:2]
    placement = drawn((height, width), options, rng)
    brightness, contrast, saturation = (1 + options.jitter * rng.uniform(-1, 1, 3)).tolist()
    jitter = (brightness, contrast, saturation) if options.jitter else None
    return place(example, placement, tasks, options, jitter)
