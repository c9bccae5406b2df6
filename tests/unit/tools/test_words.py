from pathlib import Path

import pytest

from tools import words
from tools.words import count, faults, hand_written, is_riddle, listed, repeats, unclear


@pytest.mark.parametrize(
    ("text", "riddle"),
    [
        ("These cells, and those of them that are of held-out images.", True),
        ("As `shortage`, for a decoder that does not say why it failed.", True),
        ("The cells whose label changed.", False),
        ("Return the cells that changed.\n\nThose of them that it knows.", False),
    ],
)
def test_a_first_sentence_with_two_pronouns_is_a_riddle(text: str, riddle: bool) -> None:
    assert is_riddle(text) is riddle


def test_a_docstring_repeats_a_name_if_it_adds_at_most_two_words() -> None:
    assert repeats("_names_of_tasks", "The names of the tasks.")
    assert not repeats("_names", "The names by task, as the ledger has sorted them.")
    assert not repeats("_names", "The names.\n\nSorted by code point, as the ledger needs.")


def test_tangled_sentences_and_parameters_without_a_noun_are_unclear() -> None:
    text = (
        "Draw pairs.\n\nThose of it that its others draw are none of them. Pairs are drawn once.\n\n"
        "Args:\n    seed: of the draw.\n    query: that found it.\n    budget: the budget of a query.\n"
    )
    assert list(unclear(text)) == [
        "Those of it that its others draw are none of them.",
        "seed: of the draw.",
        "query: that found it.",
    ]


def plant(root: Path, text: str, page: str = "A sentence.\n") -> Path:
    (root / "src/labelgrid").mkdir(parents=True)
    (root / "docs").mkdir()
    (root / "src/labelgrid/module.py").write_text(text)
    (root / "docs/page.md").write_text(page)
    return root


def test_riddles_and_repeated_names_above_the_limits_are_told(tmp_path: Path) -> None:
    code = (
        '"""Cells of a project."""\n'
        'def _cells_of_tasks():\n    """The cells of tasks."""\n'
        'def changed():\n    """These, and those of them that changed."""\n'
    )
    root = plant(tmp_path, code)
    assert [fault.split(",")[0] for fault in faults(root)] == [
        "riddles",
        "with a docstring",
        "repeats",
    ]
    told = list(listed(root, "src/labelgrid"))
    assert told[0].startswith("src/labelgrid/module.py:2: _cells_of_tasks: repeats its name")
    assert told[1].startswith("src/labelgrid/module.py:4: changed: riddle")


def test_unclear_sentences_above_the_limit_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "MOST_UNCLEAR", 0)
    root = plant(tmp_path, '"""Pairs.\n\nArgs:\n    seed: of the draw.\n"""\n')
    assert faults(root)[0].startswith("sentences that are unclear: 1, at most 0")
    assert list(listed(root, "src")) == [
        "src/labelgrid/module.py:1: (module): unclear: seed: of the draw."
    ]


def test_the_figures_of_each_package_and_of_all_are_printed(tmp_path: Path) -> None:
    root = plant(tmp_path, 'def changed():\n    """These, and those of them that changed."""\n')
    (root / "src/labelgrid/nets").mkdir()
    (root / "src/labelgrid/nets/blocks.py").write_text(
        '"""Blocks."""\ndef _cells_of_tasks():\n    """The cells of tasks."""\n'
    )
    assert count(root).splitlines()[2:5] == [
        "| (root) | 1 | 100 | 1 | 100 | 0 | 0 |",
        "| nets | 2 | 0 | 1 | 100 | 1 | 100 |",
        "| all | 3 | 33 | 2 | 100 | 1 | 100 |",
    ]


def test_pages_that_people_write_are_counted_without_what_commands_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = "Two words.\n<!-- table: ./dev torture --write -->\nnot these\n<!-- end -->\n"
    root = plant(tmp_path, '"""Cells."""\n', page)
    (root / "docs/plugins").mkdir()
    (root / "docs/plugins/terms.md").write_text("generated " * 99)
    assert {name: len(text.split()) for name, text in hand_written(root).items()} == {
        "docs/page.md": 2
    }
    monkeypatch.setattr(words, "MOST_WORDS", 1)
    assert faults(root) == ["pages have 2 words, at most 1 (--count)"]
    (root / "docs/page.md").write_text("It is that which they have.\n\n| it | that |\n")
    monkeypatch.setattr(words, "MOST_WORDS", 99)
    most = words.MOST_PRONOUNS
    assert faults(root) == [f"pages have 66.7 pronouns in 100 words, at most {most}"]
