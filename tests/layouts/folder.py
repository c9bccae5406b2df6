"""A made data set as plain folders."""

import shutil
from pathlib import Path

from tests.support import Made

LAYOUT = "folder"


def lay_out(made: Made, root: Path, missing: Path) -> None:
    """Write the data set below `root`, with two splits, without the label file `missing`."""
    shutil.copytree(made.root, root)
    (root / missing.relative_to(made.root)).unlink()
    (root / "splits").mkdir()
    (root / "splits" / "train.txt").write_text("\n".join(made.names[:3]))
    (root / "splits" / "test.txt").write_text("\n".join(made.names[3:]))
