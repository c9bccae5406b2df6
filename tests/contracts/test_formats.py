"""The laws of every label format, each with a wrong format that breaks it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from labelgrid.basics import plugins
from labelgrid.formats.codec import Form
from labelgrid.testing.formats import LAWS, FormatCase
from labelgrid.testing.laws import NotForItError
from tests.contracts import wrong_formats
from tests.contracts.wrong_formats import BREAKS

#: The formats of the package, and two that are not of it.
FORMATS = [
    *plugins.names("formats"),
    "tests.plugins.optical_flow:Format",
    f"{wrong_formats.__name__}:Right",
]
COVERS = ["labelgrid.testing.formats"]
LAW_OF_NAME = {law.__name__: law for law in LAWS}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_format_keeps(tmp_path: Path, law: Callable[[FormatCase], None], name: str) -> None:
    with suppress(NotForItError):
        law(FormatCase(name, tmp_path))


def test_every_law_has_a_format_that_breaks_it() -> None:
    assert {law for law, _, _ in BREAKS} == set(LAW_OF_NAME)


@pytest.mark.parametrize(
    ("law", "wrong", "words"), BREAKS, ids=[f"{wrong.__name__}-{law}" for law, wrong, _ in BREAKS]
)
def test_a_wrong_format_is_told_what_the_law_expects(
    tmp_path: Path, law: str, wrong: type[wrong_formats.Right], words: str
) -> None:
    case = FormatCase(f"{wrong_formats.__name__}:{wrong.__name__}", tmp_path)
    with pytest.raises(AssertionError, match=words):
        LAW_OF_NAME[law](case)


class NeedsDate(wrong_formats.Right):
    """An option is required whose type the laws know no value of."""

    @dataclass(frozen=True)
    class Options(Form):
        taken: date


def test_an_author_is_told_what_a_required_option_may_be(tmp_path: Path) -> None:
    case = FormatCase(f"{__name__}:NeedsDate", tmp_path)
    with pytest.raises(AssertionError) as failed:
        case.options()
    assert str(failed.value).endswith(
        "the laws know no value of date: give it a default, or one of the types "
        "tuple[str, ...], tuple[int, ...], str, int, float, bool."
    )
