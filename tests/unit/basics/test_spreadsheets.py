"""Laws of tables for spreadsheets: no text is a formula, and every text comes back."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from labelgrid.basics.spreadsheets import csv_text, escape_formula, unescape_formula


@given(st.text())
def test_no_text_is_a_formula_and_each_comes_back(text):
    shown = escape_formula(text)
    if shown != text:
        assert shown == "'" + text and unescape_formula(shown) == text
    elif text[:1] in ("=", "+", "-", "@", "\t", "\r") and text:
        float(text)  # a plain number


def test_lines_are_marked_and_numbers_are_not():
    rows = [{"a": "=cmd|'/C calc'!A0", "b": -1.5}, {"a": "-2", "b": None}]
    text = csv_text(("a", "b"), rows)
    assert list(csv.reader(io.StringIO(text))) == [
        ["a", "b"],
        ["'=cmd|'/C calc'!A0", "-1.5"],
        ["-2", ""],
    ]
