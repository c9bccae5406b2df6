"""Fixtures of tests of several folders; a finished study is made once for all of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.few_pictures import few_pictures
from tests.project_fixtures import answered, data, make, photos, project
from tests.projects import undrawn_imports

if TYPE_CHECKING:
    from tests.unit.lab.simulation.finished import Finished

#: Folders and files whose tests look at what an import shows.
SHOWN = ("api", "cli", "imports", "test_api.py", "web")

__all__ = ["answered", "data", "few_pictures", "make", "photos", "project"]


@pytest.fixture(scope="module", autouse=True)
def _imports_draw_where_that_is_looked_at(request: pytest.FixtureRequest) -> Iterator[None]:
    """Pictures of imports are drawn for the tests of what people see, and for no others."""
    if request.path.relative_to(Path(__file__).parent).parts[0] in SHOWN:
        yield
    else:
        with undrawn_imports():
            yield


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> "Finished":
    """The study of `SIMULATE` and `ARMS`. Nobody changes it, except for labels that are put back."""
    from tests.unit.lab.simulation.finished import ARMS, SIMULATE, finished_study

    return finished_study(tmp_path_factory.mktemp("analysed"), SIMULATE + ARMS)
