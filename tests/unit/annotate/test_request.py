"""Laws of a request."""

from labelgrid.annotate.request import RequestItem
from labelgrid.ledger.grid import Cell, Pick


def test_an_ask_is_of_a_cell() -> None:
    cell = Cell("a.jpg", "depth")
    pick = Pick(cell=cell, score=None, cost=1.0, why="drawn", request_id="a1")
    item = RequestItem(pick=pick, path="depth/a.png", format="depth")
    assert (item.cell, item.request_id) == (cell, "a1")
