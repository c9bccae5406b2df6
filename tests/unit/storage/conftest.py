"""Fixtures of tests of object stores: a cache of their own, little patience, and a web server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web_store import WebStore, web_store


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache's folder, and a second of patience."""
    monkeypatch.setenv("LABELGRID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LABELGRID_STORAGE_PATIENCE", "1")
    return tmp_path / "cache"


@pytest.fixture
def web() -> Iterator[WebStore]:
    """A web server of objects."""
    with web_store() as store:
        yield store
