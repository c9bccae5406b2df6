"""The made scenes of `labelgrid.testing`, as tests import them."""

from labelgrid.testing.scenes import (
    CLASSES,
    KINDS,
    Made,
    MadeScene,
    file_pixels,
    make_dataset,
    make_scene,
    task_rows,
)

__all__ = [
    "CLASSES",
    "KINDS",
    "Made",
    "MadeScene",
    "file_pixels",
    "make_dataset",
    "make_scene",
    "task_rows",
]
