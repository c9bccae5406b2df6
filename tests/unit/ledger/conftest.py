"""Fixtures of tests on the ledger: each test that asks for a place runs on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from labelgrid.ledger import database
from labelgrid.ledger.grid import ImageRow, TaskRow
from labelgrid.ledger.place import LedgerPlace
from labelgrid.ledger.store import Store
from tests import new_ledgers, postgres


@pytest.fixture(scope="module")
def _each_ledger_is_migrated() -> Iterator[None]:
    """As the program does it: for the tests of how a ledger is made; others need the tables alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "migrate", new_ledgers.migrate)
        yield


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> LedgerPlace:
    """Where a test makes its ledger."""
    return tmp_path / "ledger.db" if request.param == "sqlite" else postgres.server().place()


@pytest.fixture
def store(place: LedgerPlace) -> Iterator[Store]:
    """A ledger of the images `a` and `b`, of one task; others make their own."""
    with Store.create(place) as store:
        store.add_task(TaskRow("depth", "depth", 1.0))
        store.add_images(ImageRow(image_id=name, root="x") for name in "ab")
        yield store
