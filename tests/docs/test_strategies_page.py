"""The table of docs/strategies.md has every strategy, with its unit and statistics as in the code."""

import re
from pathlib import Path

import pytest

from labelgrid.basics import plugins
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import build_plugin

PAGE = Path(__file__).parents[2] / "docs" / "strategies.md"
TITLES = ["strategy", "source", "unit", "needs", "cost of a round"]


def rows() -> list[list[str]]:
    """The cells of the page's first table, without its ruler."""
    (table,) = (
        part
        for part in PAGE.read_text(encoding="utf-8").split("\n\n")
        if part.startswith("| strategy | source")
    )
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if "---" not in line
    ]


def test_it_has_a_row_for_each_strategy_and_no_empty_cell() -> None:
    titles, *body = rows()
    assert titles == TITLES
    assert [row[0].strip("`") for row in body] == plugins.names("strategies")
    assert all(cell for row in body for cell in row)


@pytest.mark.parametrize("row", rows()[1:], ids=lambda row: row[0].strip("`"))
def test_a_row_says_what_the_strategy_declares(row: list[str]) -> None:
    name, _, unit, needs, _ = row
    strategy = build_plugin("strategies", PluginChoice(name.strip("`")))
    assert unit.startswith(strategy.unit)
    assert (
        needs == "none"
        if not strategy.needs
        else strategy.needs <= set(re.findall(r"`(\w+)`", needs))
    )
