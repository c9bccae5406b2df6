"""How surface normals lie in a file: an RGB PNG or .npy of unit vectors, in a declared convention of axes."""

from dataclasses import dataclass

EXTENSIONS = (".png", ".npy")


@dataclass(frozen=True)
class Options:
    """What a normal map's channels mean.

    Args:
        axes: where the file's three axes point; the default is labelgrid's own convention.
    """

    axes: str = "x right, y up, z toward the camera"
