"""Laws of values: what not every database holds is refused, and so is what this program does not write."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from labelgrid.basics.errors import LedgerError
from labelgrid.ledger.grid import Cell, ImageRow, Move, State, TaskRow
from labelgrid.ledger.image_pages import ImageFilter
from labelgrid.ledger.row_values import check_name, check_values, foreign_value_errors
from labelgrid.ledger.store import Store
from tests.databases import everything

CELL = Cell("a", "depth")
WRONG: dict[str, Callable[[Store], object]] = {
    "a NUL in a name": lambda s: s.add_images([ImageRow(image_id="a\0", root="photos")]),
    "a NUL in a root": lambda s: s.add_images([ImageRow(image_id="c", root="pho\0tos")]),
    "a NUL that is looked for": lambda s: s.image("a\0"),
    "a NUL in a filter": lambda s: s.image_page(ImageFilter(name="a\0")),
    "a surrogate in a root": lambda s: s.add_images([ImageRow(image_id="c", root="caf\udce9")]),
    "a surrogate in a note": lambda s: s.put("note", {"a": "caf\udce9"}),
    "a surrogate in a task": lambda s: s.add_task(TaskRow("caf\udce9", "depth", 1.0)),
    "a large side": lambda s: s.add_images([ImageRow(image_id="c", root="x", height=2**31)]),
    "a large round": lambda s: s.move([Move(cell=CELL, to=State.LABELLED, round=2**31)]),
    "a larger round": lambda s: list(s.cells(round=2**63)),
    "NaN in a note": lambda s: s.put("note", [float("nan")]),
    "NaN in a round": lambda s: s.update_round(replace(s.open_round(), budget=float("inf"))),
    "a NUL in a reason": lambda s: s.move([Move(cell=CELL, to=State.LABELLED, why="\0")]),
    "a NUL in an annotator": lambda s: s.move([Move(cell=CELL, to=State.LABELLED, annotator="\0")]),
}


@pytest.mark.parametrize("what", WRONG)
def test_values_that_not_every_database_holds_are_refused_alike(store: Store, what: str) -> None:
    before = everything(store.place)
    with pytest.raises(LedgerError) as caught, store.transaction():
        WRONG[what](store)
    assert "cannot be in the ledger" in str(caught.value)
    assert everything(store.place) == before


def test_types_names_and_unreadable_values_are_refused() -> None:
    check_values(("a", 1, 0.5), (str, int, float), "a row")
    for row in (("a", "1", 0.5), ("a", 1, float("nan")), ("a", 1)):
        with pytest.raises(LedgerError, match="a row has"):
            check_values(row, (str, int, float), "a row")
    for name in ("", "..", "a/b", "a\0", b"a", None):
        with pytest.raises(LedgerError, match="a task has the name"):
            check_name(name, "a task")
    with pytest.raises(LedgerError, match="cannot be read"), foreign_value_errors():
        State(9)
