"""The laws of every connector, and for each law a wrong connector that breaks it.

How a tool answers is in `tests/annotators`, one file a connector: `CONNECTOR` is what it is called
by, and the rest what `labelgrid.testing.tools` asks for. With
`COVERS = ["labelgrid.annotate.tools.NAME"]` it is the connector's test, too.
"""

import importlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest

from labelgrid.basics import plugins
from labelgrid.basics.errors import LabelgridError
from labelgrid.testing.laws import NotForItError, Subject
from labelgrid.testing.tools import LAWS, RequestPlace, case_of
from tests.contracts import wrong_connectors
from tests.projects import undrawn_imports

COVERS = [
    "labelgrid.annotate.connector",
    "labelgrid.annotate.drawing_requests",
    "labelgrid.annotate.earlier_request",
    "labelgrid.annotate.matching",
    "labelgrid.testing.projects",
    "labelgrid.testing.tools",
]
ANNOTATORS = sorted(path.stem for path in Path(__file__).parents[1].glob("annotators/*.py"))


@pytest.fixture(scope="module", autouse=True)
def _imports_draw_no_picture() -> Iterator[None]:
    """The picture shows labels that were imported, whatever tool they are of."""
    with undrawn_imports():
        yield


def annotator(name: str) -> ModuleType:
    return importlib.import_module(f"tests.annotators.{name}")


def place_of(name: str, folder: Path, connector: str = "") -> RequestPlace:
    """A connector, by default the annotator's own, with the annotator of this name."""
    found = annotator(name)
    return case_of(Subject("tools", connector or found.CONNECTOR, found), folder)


@pytest.mark.parametrize("name", ANNOTATORS)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_connector_keeps(tmp_path: Path, law: Callable[[RequestPlace], None], name: str) -> None:
    with suppress(NotForItError):
        law(place_of(name, tmp_path / "place"))


def test_every_connector_of_the_package_has_somebody_who_answers_it() -> None:
    missing = set(plugins.names("tools")) - {annotator(name).CONNECTOR for name in ANNOTATORS}
    assert not missing, (
        f"Write tests/annotators/NAME.py for {missing}, so that the laws run on it: CONNECTOR, "
        "answer and escape, as in tests/annotators/folder.py."
    )


def test_every_law_has_a_connector_that_breaks_it() -> None:
    assert {law.__name__ for law in LAWS} == set(wrong_connectors.BREAKS)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_wrong_connector_fails_at(tmp_path: Path, law: Callable[[RequestPlace], None]) -> None:
    wrong = f"{wrong_connectors.__name__}:{wrong_connectors.BREAKS[law.__name__].__name__}"
    with pytest.raises((AssertionError, LabelgridError, ValueError, pytest.fail.Exception)):
        law(place_of("folder", tmp_path / "place", wrong))
