"""Says that everything is as far as its image is bright."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelgrid.basics.errors import ImageError
from labelgrid.basics.progress import Progress
from labelgrid.project.sources import ImageFiles
from labelgrid.suppliers.maker import LabelPlace


@dataclass(frozen=True)
class Options:
    """None."""


class BrightDepth:
    """The mean of the channels, plus one, as a distance."""

    files: Mapping[str, str] = {"depth": ".npy"}
    declared: Mapping[str, Any] = {"revision": "1", "settings": {"maker": "bright_depth"}}

    def __init__(self, *_: Any) -> None:
        pass

    def make(self, images: ImageFiles, place: LabelPlace, progress: Progress) -> Mapping[str, str]:
        faults = {}
        for image_id in images.images():
            progress.advance()
            try:
                depth = images.image(image_id).astype(np.float32).mean(axis=2) + 1
            except ImageError as error:
                faults[image_id] = error.what
                continue
            self.write(place.path("depth", image_id, ".npy"), self.changed(depth))
        return faults

    def changed(self, depth: Any) -> Any:
        return depth

    def write(self, path: Path, depth: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, depth)


build = BrightDepth
