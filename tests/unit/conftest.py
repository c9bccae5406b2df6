"""The finished study that tests of several folders read: made once for all of them."""

import pytest

from tests.unit.simulation.finished import ARMS, SIMULATE, Finished, finished_study


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The study of `SIMULATE` and `ARMS`. Nobody changes it, except for labels that are put back."""
    return finished_study(tmp_path_factory.mktemp("analysed"), SIMULATE + ARMS)
