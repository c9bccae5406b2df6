"""Refuses to derive a label without the camera that it follows through."""

from labelgrid.basics.camera import Camera
from labelgrid.basics.errors import LabelError


def known_camera(camera: Camera | None, what: str) -> Camera:
    """The camera of an image, for a relation that needs it.

    Args:
        camera: the camera; None: unknown.
        what: what follows from what, such as "Normals follow from depth".

    Raises:
        LabelError: it is unknown.
    """
    if camera is None:
        raise LabelError(
            f"{what} through the image's camera, which is unknown.",
            next_step="Write `field_of_view = 66.0`, the degrees across each image's width, into "
            "`camera.toml` in the project's folder, or in a data set's, beside `images/` "
            "(docs/labels.md#cameras); or give your own layout a function `camera` "
            "(docs/plugins.md).",
        )
    return camera
