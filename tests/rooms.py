"""Exact labels of made rooms."""

from collections.abc import Mapping
from functools import cache

from labelgrid.formats.codec import LabelArray
from labelgrid.lab.scenes.ray_casting import cast
from labelgrid.lab.scenes.rooms import make_scene
from labelgrid.lab.scenes.write_scenes import scene_labels

SIZE = (48, 64)


@cache
def room_labels(index: int, size: tuple[int, int] = SIZE) -> Mapping[str, LabelArray]:
    """The labels of a room, by task."""
    scene = make_scene(0, index)
    return scene_labels(scene, cast(scene, size))
