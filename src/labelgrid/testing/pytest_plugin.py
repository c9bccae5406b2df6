"""Lets tests hold a plug-in to the laws of its sort.

A conftest.py takes it: `pytest_plugins = ["labelgrid.testing.pytest_plugin"]`.

A test with the marker `labelgrid_plugin` and the fixture `labelgrid_law` runs once for each law.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from labelgrid.testing.laws import NotForItError, Subject, hold, laws_of

MARKER = "labelgrid_plugin"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    text = f"{MARKER}(folder, name, told=None): the plug-in whose laws the test runs"
    config.addinivalue_line("markers", text)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test for each law of the marked plug-in's sort."""
    if "labelgrid_law" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker(MARKER)
    if marker is None:
        raise pytest.UsageError(
            f"{metafunc.definition.nodeid} uses `labelgrid_law` and has no marker that says of "
            f'which plug-in: @pytest.mark.{MARKER}("strategies", "mine:build").'
        )
    subject = Subject(*marker.args, **marker.kwargs)
    cases = [pytest.param((law, subject), id=law.__name__) for law in laws_of(subject.folder)]
    metafunc.parametrize("labelgrid_law", cases, indirect=True)


@pytest.fixture
def labelgrid_law(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], None]:
    """A law, which fails when called if the marked plug-in breaks the law."""
    law, subject = request.param

    def run() -> None:
        try:
            hold(law, subject, tmp_path)
        except NotForItError as reason:
            pytest.skip(f"This law says nothing here: {reason}.")

    return run
