"""Grids of pictures: every picture, caption and row name is drawn, in its place."""

import numpy as np

from labelgrid.drawings.drawing import drawing_bytes
from research.analyses.picture_grid import Picture, PictureGrid
from tests.unit.drawings.test_charts import texts


def test_every_picture_has_its_caption_and_a_missing_one_is_blank():
    picture = np.full((20, 30, 3), 90, np.uint8)
    rows = [
        ("label", [Picture(picture), Picture(picture, "depth")]),
        ("sl", [None, Picture(picture, "RMSE 0.4 m")]),
    ]
    grid = PictureGrid("frames-1", "1.png", rows)
    svg = drawing_bytes(grid, "svg", title=True)
    assert {"label", "depth", "sl", "RMSE 0.4 m", "1.png"} <= set(texts(svg))
    assert svg.count(b"<image") == 3
    assert grid.alt == "label: depth; sl: RMSE 0.4 m"
    wide, high = grid.size
    assert wide > high > 1
    assert drawing_bytes(grid, "png").startswith(b"\x89PNG")
