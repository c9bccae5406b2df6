"""The laws of every data set layout, each with a wrong layout that breaks it.

`tests/layouts` writes a synthetic data set in each layout, one file per layout: `LAYOUT` is the
layout's name, and what `labelgrid.testing.layouts` asks for.
"""

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from labelgrid.basics import plugins
from labelgrid.testing.laws import Subject
from labelgrid.testing.layouts import LAWS, LayoutCase, case_of
from tests.contracts import wrong_sources

COVERS = ["labelgrid.testing.layouts"]
LAYOUTS = sorted(path.stem for path in Path(__file__).parents[1].glob("layouts/*.py"))


def layout(name: str) -> ModuleType:
    return importlib.import_module(f"tests.layouts.{name}")


@pytest.fixture(autouse=True)
def examples(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.syspath_prepend(request.config.rootpath / "examples")


def case_at(name: str, folder: Path) -> LayoutCase:
    here = layout(name)
    return case_of(Subject("layouts", here.LAYOUT, here), folder)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_data_set_keeps(tmp_path: Path, law: Callable[[LayoutCase], None], name: str) -> None:
    law(case_at(name, tmp_path))


def test_every_layout_of_the_package_is_written_by_the_tests() -> None:
    missing = set(plugins.names("layouts")) - {layout(name).LAYOUT for name in LAYOUTS}
    assert not missing, f"Write tests/layouts/NAME.py for {missing}, so that the laws run on it."


def test_every_law_has_a_data_set_that_breaks_it() -> None:
    assert {law.__name__ for law in LAWS} == set(wrong_sources.BREAKS)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_wrong_data_set_fails_at(tmp_path: Path, law: Callable[[LayoutCase], None]) -> None:
    case = case_at("folder", tmp_path)
    wrong = replace(case, dataset=wrong_sources.BREAKS[law.__name__](case.dataset))
    with pytest.raises(AssertionError):
        law(wrong)
