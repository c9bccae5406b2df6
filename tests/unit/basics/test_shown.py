"""Results show themselves: in a line or two, and in a notebook with all text escaped."""

from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelgrid.basics.shown import (
    ROWS,
    WIDEST,
    Shown,
    data_uri,
    figure,
    gallery,
    picture_of,
    table,
    text_block,
)

WRONG = "<script>alert('x')</script> & \"quoted\""


class Tags(HTMLParser):
    """The tags and the texts of a piece of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@dataclass(frozen=True, repr=False)
class Found(Shown):
    """A result with a table."""

    words: str

    def __str__(self) -> str:
        return self.words

    def _parts(self) -> Iterator[str]:
        yield table(("name", "count"), [(self.words, 1)])
        yield ""


def test_a_result_is_two_lines_at_most_and_says_that_there_are_more() -> None:
    assert repr(Found("one\n  two")) == "<Found: one two>"
    assert repr(Found("one\n\ntwo\nthree")) == "<Found: one two …>"


@pytest.mark.parametrize(
    "html",
    [
        Found(WRONG)._repr_html_(),
        text_block(WRONG),
        table([WRONG], [[WRONG]]),
        figure(b"\xff\xd8", WRONG, [WRONG, WRONG]),
    ],
)
def test_no_text_of_a_result_becomes_a_tag_or_an_attribute(html: str) -> None:
    found = Tags(html)
    assert "script" not in found.tags and WRONG in "".join(found.texts)
    assert {name for name, _ in found.attributes} <= {"style", "src", "alt"}


def test_no_text_of_a_result_reaches_the_terminal_as_a_command() -> None:
    class Named(Shown):
        def __str__(self) -> str:
            return "b\x1b[31mred\x07.jpg"

    assert repr(Named()) == r"<Named: b\x1b[31mred\x07.jpg>"


def test_a_table_shows_its_first_rows_and_numbers_at_the_right() -> None:
    html = table(
        ("name", "count", "share"), [(f"n{row}", 1000 + row, None) for row in range(ROWS + 3)]
    )
    found = Tags(html)
    assert found.tags.count("tr") == ROWS + 1 and "and 3 more" in found.texts
    assert "1,000" in found.texts and "–" in found.texts
    assert html.count("text-align:right") == ROWS + 1
    assert table(("name",), []) == "" == gallery([])
    assert "0.3333" in table(("share",), [[1 / 3]]) and "True" in table(("is",), [[True]])


def test_a_picture_of_a_file_is_as_wide_as_a_notebook_and_none_without_a_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "sheet.png"
    Image.fromarray(np.zeros((30, 2 * WIDEST, 4), np.uint8)).save(path)
    assert "data:image/jpeg;base64," in picture_of(path, "a sheet")
    path.write_bytes(b"no picture")
    assert picture_of(path, "a sheet") == "" == picture_of(tmp_path / "none.png", "a sheet")
    assert picture_of(None, "a sheet") == "" == picture_of("", "a sheet")


def test_a_figure_without_a_picture_has_its_lines() -> None:
    found = Tags(figure(b"", "a photograph", ["depth", "unsure"]))
    assert "img" not in found.tags and found.texts == ["depth", "unsure"]
    assert data_uri(b"\x89PNG").startswith("data:image/png") and "svg" in data_uri(b"<svg")
