"""Fixtures of tests on the commands."""

from pathlib import Path

import pytest

from tests.support import Made, make_dataset


@pytest.fixture
def data(tmp_path: Path) -> Made:
    return make_dataset(tmp_path / "made", n=3, tasks=("semseg", "depth"), size=(16, 24))
