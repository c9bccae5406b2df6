"""Laws of a request."""

from labelgrid.annotate.request import RequestItem
from labelgrid.ledger.grid import Cell


def test_an_ask_is_of_a_cell() -> None:
    assert RequestItem(
        "a1", "a.jpg", "depth", "depth/a.png", "depth", None, 1.0, "drawn"
    ).cell == Cell("a.jpg", "depth")
