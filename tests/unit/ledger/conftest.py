"""Fixtures of tests on the ledger."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from labelgrid.ledger.grid import ImageRow, TaskRow
from labelgrid.ledger.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A ledger of the images `a` and `b`, of one task; others make their own."""
    with Store.create(tmp_path / "ledger.db") as store:
        store.add_task(TaskRow("depth", "depth", 1.0))
        store.add_images(ImageRow(image_id=name, root="x") for name in "ab")
        yield store
