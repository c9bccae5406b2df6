"""A made data set in the layout of NYUD_MT."""

import shutil
from pathlib import Path

import cv2
import numpy as np

from tests.support import Made

LAYOUT = "nyud"


def lay_out(made: Made, root: Path, missing: Path) -> None:
    """Write the data set below `root`, with two splits, without the label file `missing`."""
    shutil.copytree(made.images, root / "images")
    for folder in ("segmentation", "depth", "gt_sets"):
        (root / folder).mkdir()
    for name in made.names:
        classes = cv2.imread(str(made.label(name, "semseg")), cv2.IMREAD_UNCHANGED).astype(int)
        moved = np.where(classes == 255, 0, classes + 1).astype(np.uint8)
        cv2.imwrite(str(root / "segmentation" / f"{Path(name).stem}.png"), moved)
        if made.label(name, "depth") != missing:
            shutil.copyfile(made.label(name, "depth"), root / "depth" / f"{Path(name).stem}.png")
    ids = [Path(name).stem for name in made.names]
    (root / "gt_sets" / "train.txt").write_text("\n".join(ids[:3]))
    (root / "gt_sets" / "val.txt").write_text("\n".join(ids[3:]))
