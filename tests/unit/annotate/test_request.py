"""Laws of a request."""

from labelgrid.annotate.request import RequestItem
from labelgrid.ledger.grid import Cell


def test_an_ask_is_of_a_cell() -> None:
    assert RequestItem(
        request_id="a1",
        image="a.jpg",
        task="depth",
        path="depth/a.png",
        format="depth",
        score=None,
        cost=1.0,
        why="drawn",
    ).cell == Cell("a.jpg", "depth")
