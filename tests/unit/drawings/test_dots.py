import math

import numpy as np
from matplotlib.figure import Figure

from labelgrid.drawings.dots import Dots
from labelgrid.drawings.drawing import drawing_bytes
from tests.unit.drawings.test_charts import marks, texts

MARKS = {"picked": {"partal": (0.5, 0.1), "rbal": (0.6, math.nan)}, "pool": {"rbal": (0.4, 0.0)}}


def test_each_row_has_its_marks_and_a_text_says_the_same() -> None:
    dots = Dots("a", "RMSE (m)", MARKS, "depth")
    written = texts(drawing_bytes(dots, "svg"))
    assert {"partal", "rbal", "RMSE (m)", "picked", "pool"} <= set(written)
    assert (
        dots.alt == "depth: RMSE (m): partal 0.5 ± 0.1 (picked); rbal 0.6 (picked), 0.4 ± 0 (pool)"
    )
    fewer = Dots("a", "RMSE (m)", {"picked": {"partal": (0.5, 0.1), "rbal": (0.6, 0.1)}}, "depth")
    assert marks(drawing_bytes(dots, "svg")) > marks(drawing_bytes(fewer, "svg"))


def test_more_rows_need_more_height() -> None:
    few, many = ({str(i): (float(i), 0.1) for i in range(n)} for n in (2, 9))
    assert Dots("a", "x", {"m": many}).size[1] > Dots("a", "x", {"m": few}).size[1]
    assert "m" not in texts(
        drawing_bytes(Dots("a", "x", {"m": many}), "svg")
    )  # one series needs no legend


def test_many_series_stay_in_their_row_and_look_different() -> None:
    marks = {f"arm {number}": {"loss": (0.1, 0.01), "noise": (0.2, 0.01)} for number in range(21)}
    many, few = Dots("a", "rho", marks), Dots("a", "rho", {"arm 0": marks["arm 0"]})
    figure = Figure()
    many.draw(figure)
    points = [container[0] for container in figure.axes[0].containers]
    places = np.array([line.get_ydata() for line in points], float)
    assert (np.abs(places - [0, 1]) < 0.5).all() and len(np.unique(places)) == 42
    assert (
        len({(line.get_color(), line.get_marker(), line.get_fillstyle()) for line in points}) == 21
    )
    assert many.size[1] > few.size[1] + 11 * 0.2 + 0.5
