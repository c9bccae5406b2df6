"""How a depth (or disparity) map lies in a file: a PNG with a scale, or .npy and .tiff of metres."""

from dataclasses import dataclass

EXTENSIONS = (".png", ".npy", ".tiff", ".tif")


@dataclass(frozen=True)
class Options:
    """What a depth map's numbers mean.

    Args:
        scale: metres (for disparity: its unit) for one step of the file's numbers; None: 0.001 in a 16-bit PNG, 1 in
            .npy and .tiff, and 8-bit files are refused.
        disparity: the numbers grow toward the camera.
        maximum: a label with a larger value is refused, in metres (or the disparity's unit).
    """

    scale: float | None = None
    disparity: bool = False
    maximum: float | None = None
