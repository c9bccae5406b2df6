"""How what is seen at each pixel becomes labels: classes, parts, the salient object, edges, depth, normals."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from labelgrid.labels.codec import LabelArray
from labelgrid.labels.grid import TaskRow
from labelgrid.scenes.cast import Seen
from labelgrid.scenes.figures import PARTS, PERSON
from labelgrid.scenes.rooms import CLASSES, Scene

#: The tasks of the data set, with costs on the scale of minutes a label.
TASKS = (
    TaskRow("semseg", "semseg", 10.0, {"classes": list(CLASSES)}),
    TaskRow("parts", "semseg", 8.0, {"classes": list(PARTS)}),
    TaskRow("saliency", "saliency", 2.0),
    TaskRow("edges", "edges", 5.0),
    TaskRow("depth", "depth", 1.0),
    TaskRow("normals", "normals", 1.0),
)
#: What a figure's pixels count in the choice of the salient object.
FIGURE = 10.0


def labels_of(scene: Scene, seen: Seen) -> Mapping[str, LabelArray]:
    """The labels of what is seen of a scene, by task; exact, and valid wherever something is hit.

    Saliency is the one object that fills most of the picture's middle, where a figure counts ten times; edges are
    pixels whose right or lower neighbour belongs to another object or class.
    """
    hit = seen.solid >= 0
    named = np.array([CLASSES.index(solid.label) for solid in scene.solids])[seen.solid]
    part = np.array([PARTS.index(solid.part or "none") for solid in scene.solids])[seen.solid]
    thing = np.array([solid.thing for solid in scene.solids])[seen.solid]
    everywhere = np.ones_like(hit)
    return {
        "semseg": LabelArray(named[..., None], hit),
        "parts": LabelArray(part[..., None], hit),
        "saliency": LabelArray(_salient(named, thing, hit).astype(np.float32)[..., None], everywhere),
        "edges": LabelArray(_borders(thing * len(CLASSES) + named).astype(np.float32)[..., None], everywhere),
        "depth": LabelArray(seen.depth[..., None], hit),
        "normals": LabelArray(seen.normals, hit),
    }


def _salient(named: NDArray[np.int64], thing: NDArray[np.int64], hit: NDArray[np.bool_]) -> NDArray[np.bool_]:
    height, width = thing.shape
    up, across = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    middle = np.exp(-2 * (up**2 + across**2)) * np.where(named == CLASSES.index(PERSON), FIGURE, 1.0)
    weight = np.bincount(thing[hit], middle[hit], minlength=2)
    weight[0] = 0  # the room itself
    best = int(weight.argmax())
    return (thing == best) & hit if weight[best] > 0 else np.zeros_like(hit)


def _borders(region: NDArray[np.int64]) -> NDArray[np.bool_]:
    found = np.zeros(region.shape, np.bool_)
    found[:, :-1] |= region[:, :-1] != region[:, 1:]
    found[:-1] |= region[:-1] != region[1:]
    return found
