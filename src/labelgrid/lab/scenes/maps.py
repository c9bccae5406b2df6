"""Computes the labels of a scene: classes, parts, the salient object, edges, depth, normals."""

from collections.abc import Mapping

import numpy as np

from labelgrid.basics.array_types import Bools, Ints
from labelgrid.formats.codec import LabelArray
from labelgrid.lab.scenes.people import PARTS, PERSON
from labelgrid.lab.scenes.ray_casting import RayHits
from labelgrid.lab.scenes.rooms import CLASSES, Scene
from labelgrid.ledger.grid import TaskRow

#: The tasks of the data set; the costs correspond to minutes per label.
TASKS = (
    TaskRow("semseg", "semseg", 10.0, {"classes": list(CLASSES)}),
    TaskRow("parts", "semseg", 8.0, {"classes": list(PARTS)}),
    TaskRow("saliency", "saliency", 2.0),
    TaskRow("edges", "edges", 5.0),
    TaskRow("depth", "depth", 1.0),
    TaskRow("normals", "normals", 1.0),
)
#: The weight of a person's pixels in the choice of the salient object.
PERSON_WEIGHT = 10.0


def scene_labels(scene: Scene, hits: RayHits) -> Mapping[str, LabelArray]:
    """The exact labels of a scene, by task; valid where a ray hits a solid.

    The salient object is the one that fills most of the picture's middle; a person counts ten
    times. Edges are pixels whose right or lower neighbour belongs to another object or class.
    """
    hit = hits.solid >= 0
    index = np.array([CLASSES.index(solid.label) for solid in scene.solids])[hits.solid]
    part = np.array([PARTS.index(solid.part or "none") for solid in scene.solids])[hits.solid]
    thing = np.array([solid.thing for solid in scene.solids])[hits.solid]
    salient = _salient_pixels(index, thing, hit).astype(np.float32)
    edges = _border_pixels(thing * len(CLASSES) + index).astype(np.float32)
    everywhere = np.ones_like(hit)
    return {
        "semseg": LabelArray(index[..., None], hit),
        "parts": LabelArray(part[..., None], hit),
        "saliency": LabelArray(salient[..., None], everywhere),
        "edges": LabelArray(edges[..., None], everywhere),
        "depth": LabelArray(hits.depth[..., None], hit),
        "normals": LabelArray(hits.normals, hit),
    }


def _salient_pixels(index: Ints, thing: Ints, hit: Bools) -> Bools:
    """The pixels [h, w] of the salient object, given each pixel's class and object."""
    height, width = thing.shape
    up, across = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    middle = np.exp(-2 * (up**2 + across**2))
    pixels = middle * np.where(index == CLASSES.index(PERSON), PERSON_WEIGHT, 1.0)
    weight = np.bincount(thing[hit], pixels[hit], minlength=2)
    weight[0] = 0  # the room itself
    best = int(weight.argmax())
    if weight[best] > 0:
        return (thing == best) & hit
    return np.zeros_like(hit)


def _border_pixels(region: Ints) -> Bools:
    """The pixels whose right or lower neighbour belongs to another region."""
    borders = np.zeros(region.shape, np.bool_)
    borders[:, :-1] |= region[:, :-1] != region[:, 1:]
    borders[:-1] |= region[:-1] != region[1:]
    return borders
