"""Writing EXR files with the package OpenEXR."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import OpenEXR

COMPRESSIONS = ("NO", "RLE", "ZIPS", "ZIP", "PIZ", "PXR24", "B44", "B44A", "DWAA", "DWAB")


def exr(path: Path, channels: Mapping[str, np.ndarray], **header: object) -> Path:
    settings = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, **header}
    OpenEXR.File(settings, dict(channels)).write(str(path))
    return path


def tiled(path: Path, channels: Mapping[str, np.ndarray], compression: str) -> Path:
    tiles = OpenEXR.TileDescription()
    tiles.xSize = tiles.ySize = 16
    method = getattr(OpenEXR, f"{compression}_COMPRESSION")
    return exr(path, channels, compression=method, type=OpenEXR.tiledimage, tiles=tiles)


def parts(path: Path, channels: Mapping[str, Mapping[str, np.ndarray]]) -> Path:
    """A file of several parts, by their names."""
    made = [OpenEXR.Part({"name": name}, dict(of)) for name, of in channels.items()]
    OpenEXR.File(made).write(str(path))
    return path
