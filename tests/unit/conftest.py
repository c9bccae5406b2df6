"""Fixtures of tests of several folders; a finished study is made once for all of them."""

from typing import TYPE_CHECKING

import pytest

from tests.few_pictures import few_pictures
from tests.project_fixtures import answered, data, make, photos, project

if TYPE_CHECKING:
    from tests.unit.lab.simulation.finished import Finished

__all__ = ["answered", "data", "few_pictures", "make", "photos", "project"]


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> "Finished":
    """The study of `SIMULATE` and `ARMS`. Nobody changes it, except for labels that are put back."""
    from tests.unit.lab.simulation.finished import ARMS, SIMULATE, finished_study

    return finished_study(tmp_path_factory.mktemp("analysed"), SIMULATE + ARMS)
