"""Tells of how many images the cameras are known, and takes those of a new project's images.

Loads no torch.
"""

import os
from pathlib import Path
from typing import Any

from labelgrid.basics.errors import LabelgridError
from labelgrid.basics.files import copy_file
from labelgrid.basics.progress import Progress
from labelgrid.project.folder import CAMERAS, ProjectFolder
from labelgrid.project.settings import Oracle


def camera_step(project: ProjectFolder) -> str:
    """The next step for the unknown cameras of a project."""
    if project.settings.oracle:
        return dataset_camera_step(project.settings.oracle)
    return (
        "Write `field_of_view = 66.0`, the degrees across each image's width, into "
        f"{project.folder / CAMERAS}, or what else is known of them (docs/labels.md#cameras); or "
        "turn the relation off: `trust = 0`."
    )


def dataset_camera_step(oracle: Oracle) -> str:
    """The next step for the unknown cameras of a data set."""
    return (
        "Write `field_of_view = 66.0`, the degrees across each image's width, into "
        f"{oracle.root}/{CAMERAS}, which the layout `folder` reads (docs/labels.md#cameras); give "
        "your own layout a function `camera` (docs/plugins.md); or turn the relation off: "
        "`trust = 0`."
    )


def camera_status(project: ProjectFolder) -> dict[str, Any] | None:
    """The known cameras as JSON values; None if there is nothing to say.

    `known` is the number of images whose camera the file `camera.toml` says, of `images`. `text` is
    that in words, or what is wrong with the file.
    """
    if project.settings.oracle:
        return None
    values = {"known": 0, "images": project.store.count_images(), "text": ""}
    try:
        if os.path.lexists(project.folder / CAMERAS):
            return values | _known(project)
        names = _relations_with_camera(project)
    except LabelgridError as error:
        return values | {"text": f"camera: {' '.join(str(error).split())}"}
    if not names:
        return None
    text = f"camera: unknown, and the relation '{names[0]}' needs it. {camera_step(project)}"
    return values | {"text": text}


def take_cameras(images: Path, building: Path, progress: Progress) -> None:
    """Copy the `camera.toml` beside a folder of images into a new project's folder.

    A wrong file, or a file next to a table, is reported and not copied.
    """
    path = images.parent / CAMERAS
    if not os.path.lexists(path):
        return
    from labelgrid.data.cameras import read_cameras

    try:
        cameras = read_cameras(path.parent)
        if cameras and cameras.images:
            progress.say(f"{path} has a table of cameras: copy both into the project's folder.")
            return
        copy_file(path, building / CAMERAS)
    except LabelgridError as error:
        progress.say(f"{path} was not taken: {error.what}")
        return
    progress.say(f"The cameras of {path} are the project's.")


def _known(project: ProjectFolder) -> dict[str, Any]:
    from labelgrid.data.cameras import read_cameras  # slow to load, and most projects have none

    cameras = read_cameras(project.folder)
    assert cameras is not None
    with_camera = 0
    images = 0
    for row in project.store.images():
        view = cameras.view_of(row.image_id)
        size = (row.height, row.width)
        images += 1
        # The size of an image that was not checked is unknown.
        with_camera += view.is_given if not all(size) else view.at(size) is not None
    text = f"camera: known for {with_camera:,} of {images:,} images"
    degrees = cameras.everywhere.field_of_view
    if degrees is not None and not cameras.folders and not cameras.images:
        text = f"camera: {degrees:g}° across for all images"
    if cameras.exif:
        text += "; that of others by their EXIF data, if these have it"
    return {"known": with_camera, "text": f"{text}."}


def _relations_with_camera(project: ProjectFolder) -> list[str]:
    settings = project.settings
    if "relations" not in settings.changes and not settings.recipe.endswith(".toml"):
        return []  # reading a recipe is slow
    from labelgrid.relations.bound import relations_with_camera

    return relations_with_camera(project.recipe().relations)
