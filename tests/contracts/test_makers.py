"""The laws of every maker of labels, each with a wrong maker that breaks it.

A model for a maker is told by `tests/makers/NAME.py`.
"""

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

from labelgrid.basics import plugins
from labelgrid.basics.errors import ImageError
from labelgrid.testing.laws import Subject
from labelgrid.testing.makers import LAWS, MakerCase, case_of
from tests.contracts import wrong_makers
from tests.contracts.wrong_makers import BREAKS
from tests.makers import bright_depth

COVERS = ["labelgrid.suppliers.maker", "labelgrid.testing.makers"]


@pytest.mark.parametrize("name", plugins.names("makers"))
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_maker_keeps(law: Callable[[MakerCase], None], name: str, tmp_path: Path) -> None:
    law(case_of(Subject("makers", name, importlib.import_module(f"tests.makers.{name}")), tmp_path))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_maker_of_ones_own_keeps(law: Callable[[MakerCase], None], tmp_path: Path) -> None:
    law(case_of(Subject("makers", "tests.plugins.bright_depth:build", bright_depth), tmp_path))


def test_every_law_has_a_maker_that_breaks_it() -> None:
    assert {law.__name__ for law in LAWS} == set(BREAKS)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_wrong_maker_is_told_what_the_law_expects(
    law: Callable[[MakerCase], None], tmp_path: Path
) -> None:
    wrong, words = BREAKS[law.__name__]
    name = f"{wrong_makers.__name__}:{wrong.__name__}"
    with pytest.raises((AssertionError, ImageError), match=words):
        law(case_of(Subject("makers", name), tmp_path))
