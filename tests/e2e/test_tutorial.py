"""The tutorial: the page docs/tutorial.md is the script. Its trainings are shorter here, its photographs coarser."""

import json
from pathlib import Path

import pytest

from tests.docs.console import commands, examples_of
from tests.e2e.commands import held_out, status
from tests.unit.report.reading import Page

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
FLAT = Path("flat")
#: What takes most of the page's time -> what the test does instead.
LESS = {
    "train.steps=500": "train.steps=25",
    "--size 48x64 --samples 4": "--size 24x32 --samples 1",
    "data.size=[48,64]": "data.size=[24,32]",
}


def typed() -> list[str]:
    """The labelgrid commands of the page, without the one that renders what readers have."""
    blocks = [str(example.parsed) for example in examples_of(TUTORIAL)]
    lines = [command for block in blocks for command, _ in commands(block)]
    return [line for line in lines if line.startswith("labelgrid ") and " scenes " not in line]


def with_less(block: str) -> str:
    for words, instead in LESS.items():
        block = block.replace(words, instead)
    return block


def test_the_tutorial_has_seven_commands() -> None:
    assert len(typed()) == 7


@pytest.mark.timeout(1800)
def test_the_tutorial_ends_in_figures_with_intervals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = TUTORIAL.read_text()
    assert all(text.count(words) == 1 for words in LESS)
    for example in examples_of(TUTORIAL):
        example.parsed = with_less(str(example.parsed))
        example.evaluate()
    picked = {pick["image"] for pick in json.loads((FLAT / "rounds/0002/picks.json").read_text())}
    assert len(picked) == 140 and len(held_out(FLAT)) == 60
    assert not picked & held_out(FLAT)
    for line in status(FLAT)["headlines"]:
        low, high = line["change_interval"]
        assert low <= line["result"]["value"] - line["before"] <= high and line["images"] == 60
        assert (line["verdict"] == "within noise") == (low <= 0 <= high)
        assert line["text"] in Page((FLAT / "report.html").read_text()).words
