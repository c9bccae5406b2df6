"""Transforms an image and its labels to the input size of a network, in a single placement.

A placement is a fit, a zoom, a position, a flip and an angle.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Floats32
from labelgrid.basics.camera import Camera
from labelgrid.basics.streams import stream
from labelgrid.basics.type_names import Size
from labelgrid.data.data_options import DataOptions
from labelgrid.formats.codec import LabelArray
from labelgrid.tasks.placement import Placement
from labelgrid.tasks.task import TaskDef, TaskDefs

Pixels = NDArray[np.uint8]
#: Factors of brightness, contrast and saturation.
Jitter = tuple[float, float, float]
#: Whether the first kept views are mirrored.
FIRST_VIEWS = (False, True)


class PlacedImage(NamedTuple):
    """An image that is on its canvas already.

    Args:
        original: the height and width of the whole image.
        pixels: RGB, uint8 [H, W, 3].
    """

    original: Size
    pixels: Pixels


class PlacedLabel(NamedTuple):
    """A label on its canvas.

    Args:
        size: the height and width of the whole image.
        label: the part that is seen.
    """

    size: Size
    label: LabelArray


@dataclass(frozen=True)
class Example:
    """An image and its labels, all of the same size.

    Args:
        image: RGB, uint8 [h, w, 3]; or as an earlier placement, the same as the next, has left it.
        labels: the labels by task, or as that placement has left them, without missing labels.
        maps: float32 [h, w], transformed as the labels, with unchanged values; their padding is 0.
        camera: the camera of the image; None if unknown.
    """

    image: Pixels | PlacedImage
    labels: Mapping[str, LabelArray | PlacedLabel]
    maps: Mapping[str, Floats32] = field(default_factory=dict)
    camera: Camera | None = None

    @property
    def size(self) -> Size:
        """The height and width before the placement."""
        return size_before(self.image)


@dataclass(frozen=True)
class PlacedExample:
    """An image and its labels on the canvas of a placement, as in an `Example`."""

    image: Pixels
    labels: Mapping[str, LabelArray]
    maps: Mapping[str, Floats32]
    camera: Camera | None


def size_before(image: Pixels | PlacedImage) -> Size:
    """The height and width of an image before its placement."""
    if isinstance(image, PlacedImage):
        return image.original
    height, width, _ = image.shape
    return height, width


def fit_placement(size: Size, options: DataOptions) -> Placement:
    """The placement of an image of `size` without augmentation: always the whole image.

    Example:
        >>> fit_placement((480, 640), DataOptions(size=(96, 96), fit="pad")).target
        (slice(12, 84, None), slice(0, 96, None))
        >>> fit_placement((480, 640), DataOptions(size=(96, 96), fit="crop")).canvas
        (96, 128)
    """
    if options.fit == "crop":
        scale = max(options.size[0] / size[0], options.size[1] / size[1])
        scaled = (_whole(size[0] * scale), _whole(size[1] * scale))
        options = replace(options, size=scaled, fit="resize")
    return _placement(size, options, 1.0, (0.5, 0.5))


def draw_placement(size: Size, options: DataOptions, rng: np.random.Generator) -> Placement:
    """Draw the placement of an image of `size` in training.

    It is the fit with a random zoom, position and flip. The number of draws is always the same, so
    that one option does not change the draws of another.
    """
    flip = bool(rng.random() < options.flip)
    drawn = rng.random()
    zoom = options.zoom[int(drawn * len(options.zoom))]
    if options.zoom_between:
        zoom = min(options.zoom) + drawn * (max(options.zoom) - min(options.zoom))
    position = rng.random(2)
    at = (0.5, 0.5)
    if options.at == "random":
        at = (float(position[0]), float(position[1]))
    return replace(_placement(size, options, zoom, at), flip=flip)


def _placement(size: Size, options: DataOptions, zoom: float, at: tuple[float, float]) -> Placement:
    scales = (options.size[0] / size[0], options.size[1] / size[1])
    if options.fit == "crop":
        scales = (max(scales), max(scales))
    elif options.fit == "pad":
        scales = (min(scales), min(scales))
    rows, canvas_rows = _axis(size[0], options.size[0], scales[0] * zoom, at[0])
    columns, canvas_columns = _axis(size[1], options.size[1], scales[1] * zoom, at[1])
    return Placement(
        source=(rows, columns), target=(canvas_rows, canvas_columns), canvas=options.size, zoom=zoom
    )


def _axis(length: int, canvas: int, scale: float, at: float) -> tuple[slice, slice]:
    window = min(_whole(canvas / scale), length)
    filled = min(_whole(length * scale), canvas)
    start = round(at * (length - window))
    offset = (canvas - filled) // 2
    return slice(start, start + window), slice(offset, offset + filled)


def _whole(length: float) -> int:
    return max(1, round(length))


def place_image(
    image: Pixels, placement: Placement, options: DataOptions, jitter: Jitter | None = None
) -> Pixels:
    """Place an image on its canvas [H, W, 3]: area averaging to shrink, bilinear to enlarge.

    Padding is `mean`.
    """
    if placement.angle:
        if jitter:
            image = _change_colours(image, *jitter)
        placed = placement.warp(image, _padding(options))
    else:
        placed = _place_upright(image, placement, options, jitter)
    if placement.flip:
        return np.ascontiguousarray(placed[:, ::-1])
    return placed


def _place_upright(
    image: Pixels, placement: Placement, options: DataOptions, jitter: Jitter | None
) -> Pixels:
    part = image[placement.source]
    height, width = placement.extent
    interpolation = cv2.INTER_LINEAR
    if part.shape[0] >= height and part.shape[1] >= width:
        interpolation = cv2.INTER_AREA
    part = cv2.resize(part, (width, height), interpolation=interpolation)
    if jitter:
        part = _change_colours(part, *jitter)
    if placement.extent == placement.canvas:
        return part
    canvas = np.empty((*placement.canvas, 3), np.uint8)
    canvas[:] = _padding(options)
    canvas[placement.target] = part
    return canvas


def _padding(options: DataOptions) -> tuple[float, ...]:
    return tuple(np.rint(255 * np.array(options.mean)).tolist())


def _change_colours(image: Pixels, brightness: float, contrast: float, saturation: float) -> Pixels:
    """Change brightness, contrast and saturation.

    The image is blended with black, the mean grey and each pixel's grey (BT.601).
    """
    colours = image.astype(np.float32) * brightness
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    middle = (colours @ weights).mean()
    colours = middle + (colours - middle) * contrast
    grey = (colours @ weights)[..., None]
    return np.clip(np.rint(grey + (colours - grey) * saturation), 0, 255).astype(np.uint8)


def place_label(label: LabelArray | PlacedLabel, placement: Placement, task: TaskDef) -> LabelArray:
    """Place a label on a canvas with the kind's `transform`; padding is not valid."""
    if isinstance(label, PlacedLabel):
        return label.label
    value, valid = task.transform(label.value, label.valid, placement)
    placed = replace(label, value=value, valid=valid)
    if label.confidence is None:
        return placed
    confidence = placement.nearest(label.confidence)
    if (valid & ~placement.nearest(label.valid)).any():  # sparse pixels were moved
        confidence = placement.nearest_valid(label.confidence, label.valid)[0]
    return placed.with_confidence(confidence)


def place(
    example: Example,
    placement: Placement,
    tasks: TaskDefs,
    options: DataOptions,
    jitter: Jitter | None = None,
) -> PlacedExample:
    """Place an image, the labels and the camera on the canvas of a placement."""
    image = example.image
    if isinstance(image, PlacedImage):
        pixels = image.pixels
    else:
        pixels = place_image(image, placement, options, jitter)
    labels = {}
    for name, label in example.labels.items():
        labels[name] = place_label(label, placement, tasks[name])
    maps = {name: placement.nearest(values) for name, values in example.maps.items()}
    camera = example.camera
    if camera is not None:
        camera = placement.camera(camera)
    return PlacedExample(pixels, labels, maps, camera)


def kept_view(
    example: Example, tasks: TaskDefs, options: DataOptions, *, image_id: str, number: int
) -> PlacedExample:
    """A view of an image that stays the same in all trainings.

    Args:
        example: the image and what belongs to it.
        tasks: the tasks of the labels.
        options: the network input and its augmentation.
        image_id: the id of the image.
        number: 0: the whole image, with `fit = "crop"` the middle; 1: the same, mirrored, if the
            options mirror; others: a view by the options.
    """
    views = FIRST_VIEWS if options.flip else FIRST_VIEWS[:1]
    if number >= len(views):
        return augment(example, tasks, options, stream(0, "view", number, image_id))
    whole = _placement(example.size, options, 1.0, (0.5, 0.5))
    placement = replace(whole, flip=views[number])
    return place(example, placement, tasks, options)


def augment(
    example: Example, tasks: TaskDefs, options: DataOptions, rng: np.random.Generator
) -> PlacedExample:
    """Augment an example with draws from `rng`.

    The placement is drawn first, then the colours, then the angle.
    """
    placement = draw_placement(example.size, options, rng)
    brightness, contrast, saturation = (1 + options.jitter * rng.uniform(-1, 1, 3)).tolist()
    jitter = (brightness, contrast, saturation) if options.jitter else None
    if options.rotate:
        placement = replace(placement, angle=options.rotate * float(rng.uniform(-1, 1)))
    return place(example, placement, tasks=tasks, options=options, jitter=jitter)
