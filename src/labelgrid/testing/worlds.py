"""Makes a world in each label format, and laws of kinds on views of the world."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from labelgrid.data.frame import label_of, target_of
from labelgrid.data.transforms import place_label
from labelgrid.formats.codec import LabelArray, codec
from labelgrid.tasks.placement import Placement
from labelgrid.tasks.task import Task, TaskDef

SIZE = (16, 24)
Floats = NDArray[np.float64]
#: The label of a made world [h, w, c], computed again: as it is or mirrored, and zoomed about its
#: middle.
Truth = Callable[[bool, float], NDArray[np.generic]]


def seen(mirrored: bool, zoom: float) -> tuple[Floats, Floats, float]:
    """The point of the world at each pixel, right and down from the middle, and the sign of the world's x."""
    down, right = ((np.arange(n) + 0.5) / n * 2 - 1 for n in SIZE)
    side = -1.0 if mirrored else 1.0
    x, y = np.meshgrid(right, down)
    return side * x / zoom, y / zoom, side


def classes(mirrored: bool, zoom: float) -> NDArray[np.generic]:
    """Four rectangles."""
    x, y, _ = seen(mirrored, zoom)
    return ((x > 0.2).astype(np.int64) + 2 * (y > 0.1))[..., None]


def region(mirrored: bool, zoom: float) -> NDArray[np.generic]:
    """One side of the world: yes."""
    return (seen(mirrored, zoom)[0] > 0.2).astype(np.float32)[..., None]


def depth(mirrored: bool, zoom: float) -> NDArray[np.generic]:
    """A wall and a floor, nearer at a side; a larger zoom brings both nearer."""
    x, y, _ = seen(mirrored, zoom)
    return (4 / (1 + 0.3 * x + 0.2 * y) / zoom).astype(np.float32)[..., None]


def disparity(mirrored: bool, zoom: float) -> NDArray[np.generic]:
    """One over the depth."""
    return np.asarray(1 / depth(mirrored, zoom).astype(np.float32))


def normals(mirrored: bool, zoom: float) -> NDArray[np.generic]:
    """A bowl that opens to a side (x right, y up)."""
    x, y, side = seen(mirrored, zoom)
    across = side * (0.4 + 0.2 * x)
    up = 0.3 - 0.2 * y
    return np.stack([across, up, np.sqrt(1 - across**2 - up**2)], -1).astype(np.float32)


#: The world as each label format has it.
TRUTHS: dict[str, Truth] = {
    "classes": classes,
    "binary": region,
    "depth": depth,
    "normals": normals,
}


def placement(flip: bool = False, zoom: float = 1.0) -> Placement:
    """The middle of an image, so many times larger, on a canvas of the image's size."""
    source = tuple(
        slice(round(n * (1 - 1 / zoom) / 2), round(n * (1 + 1 / zoom) / 2)) for n in SIZE
    )
    return Placement(
        source=(source[0], source[1]),
        target=(slice(0, SIZE[0]), slice(0, SIZE[1])),
        canvas=SIZE,
        zoom=zoom,
        flip=flip,
    )


def views_show_the_world(definition: TaskDef, truth: Truth) -> None:
    """The label of a flipped or zoomed image is the label that the flipped or zoomed world has."""
    plain = truth(False, 1.0)
    label = LabelArray(plain, np.ones(plain.shape[:2], np.bool_))
    for flip, zoom in product((False, True), (1.0, 2.0)):
        view = place_label(label, placement(flip, zoom), definition)
        wanted = truth(flip, zoom)
        assert view.valid.all() and view.value.dtype == plain.dtype
        close = np.isclose(view.value, wanted, rtol=0.1, atol=0.03).all(2)
        assert close.mean() > 0.9, (
            f"flip {flip}, zoom {zoom}: {close.mean():.0%} of the values are the world's. "
            "`transform` of SPEC must place values with `geometry`, turn directions with "
            "`geometry.turn`, and multiply by `geometry.zoom` what depends on the zoom."
        )


def a_flip_undone_is_the_label(definition: TaskDef, label: LabelArray) -> None:
    """Flipping a label and flipping it back gives the label, holes and all."""
    height, width = label.size
    whole = (slice(0, height), slice(0, width))
    flip = Placement(source=whole, target=whole, canvas=label.size, flip=True)
    once = place_label(label, flip, definition)
    assert np.array_equal(once.valid, label.valid[:, ::-1]), (
        "`transform` must flip the mask with the values: place both with `geometry`."
    )
    twice = place_label(once, flip, definition)
    assert np.array_equal(twice.valid, label.valid)
    np.testing.assert_allclose(
        twice.value[label.valid],
        label.value[label.valid],
        atol=1e-6,
        err_msg="`transform` must give the label again when it is flipped twice.",
    )


def a_mirrored_prediction_is_that_of_the_image(
    definition: TaskDef, task: Task, label: LabelArray
) -> None:
    """The certain prediction of a mirrored label, mirrored back by `Scale.mirrored`, is that of the label."""
    height, width = label.size
    whole = (slice(0, height), slice(0, width))
    flipped = place_label(
        label, Placement(source=whole, target=whole, canvas=label.size, flip=True), definition
    )
    plain, mirrored = (task.as_prediction(target_of(part).safe()) for part in (label, flipped))
    back = task.scale.mirrored(mirrored.flip(-1))
    np.testing.assert_allclose(
        back[0].numpy(),
        plain[0].numpy(),
        atol=1e-6,
        err_msg="`scale.mirrored` must do to a prediction what `transform` does to a flipped label.",
    )


def mirroring_and_activating_commute(task: Task, raw: Tensor) -> None:
    """A mirrored raw output is mirrored back as its prediction is: flips are averaged as raw outputs."""
    np.testing.assert_allclose(
        task.activate(task.scale.mirrored(raw)).numpy(),
        task.scale.mirrored(task.activate(raw)).numpy(),
        atol=1e-6,
        err_msg="`scale.mirrored` must change raw outputs as it changes predictions.",
    )


def a_prediction_survives_the_label_file(
    definition: TaskDef, task: Task, prediction: Tensor, folder: Path
) -> None:
    """A prediction [1, c, h, w] as a label is unchanged after writing and reading."""
    told = label_of(task.to_target(prediction))
    path = folder / f"label{codec(definition.spec.codec).EXTENSIONS[0]}"
    definition.write(path, told)
    read = definition.read(path)
    said = "what `to_target` makes of a prediction must be read as it was written"
    assert read.value.dtype == told.value.dtype, f"{said}; it is read as {read.value.dtype}."
    assert np.array_equal(read.valid, told.valid), f"{said}; the masks differ."
    assert told.valid.any(), "`to_target` must make some valid pixels of a random prediction."
    np.testing.assert_allclose(
        read.value[read.valid], told.value[told.valid], atol=0.01, err_msg=said
    )
