"""A made data set in the layout of Cityscapes."""

from pathlib import Path

import cv2
import numpy as np

from labelgrid.data.layouts.cityscapes import CLASSES, TASKS
from labelgrid.ledger.grid import TaskRow
from tests.support import Made

LAYOUT = "cityscapes"
PICTURES = ("*_leftImg8bit.png",)
ROWS = tuple(TaskRow(name, name, 1.0, TASKS[name]) for name in ("semseg", "depth"))


def lay_out(made: Made, root: Path, missing: Path) -> None:
    """Write the data set below `root`, with two splits, without the label file `missing`."""
    numbers = np.array(list(CLASSES.values()), np.uint8)
    for number, name in enumerate(made.names):
        place = f"{'train' if number < 3 else 'val'}/town/town_{number:06d}_000019"
        for folder in ("leftImg8bit", "gtFine", "disparity"):
            (root / folder / place).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(
            str(root / f"leftImg8bit/{place}_leftImg8bit.png"), cv2.imread(str(made.images / name))
        )
        classes = cv2.imread(str(made.label(name, "semseg")), cv2.IMREAD_UNCHANGED)
        stored = np.where(classes == 255, 3, numbers[np.minimum(classes, 18)])
        cv2.imwrite(str(root / f"gtFine/{place}_gtFine_labelIds.png"), stored.astype(np.uint8))
        if made.label(name, "depth") != missing:
            millimetres = cv2.imread(str(made.label(name, "depth")), cv2.IMREAD_UNCHANGED)
            steps = np.where(millimetres > 0, np.rint(millimetres * 0.256) + 1, 0).astype(np.uint16)
            cv2.imwrite(str(root / f"disparity/{place}_disparity.png"), steps)
