"""Laws of counts and lists in words."""

import shlex

import pytest

from labelgrid.words import command, counted, listed


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 images are"), (1, "1 image is"), (2, "2 images are"), (12345, "12,345 images are")]
)
def test_one_is_singular_and_all_other_counts_are_plural(count: int, words: str) -> None:
    assert counted(count, "image is", "images are") == words
    assert counted(count, "image") == words.rpartition(" ")[0]


def test_a_list_shows_the_first_names_and_counts_the_others() -> None:
    names = [str(i) for i in range(22)]
    assert listed(names) == ", ".join(names[:20]) + ", and 2 more"
    assert listed(names[:20]) == ", ".join(names[:20]) and listed([]) == ""
    assert listed(names[:4], 2, "\n") == "0\n1\nand 2 more"


def test_a_command_can_be_pasted_whatever_its_words_hold() -> None:
    words = ["remove", "my flat", "it's $HOME/a.jpg", "depth:scale=0.01"]
    assert shlex.split(command(*words)) == ["labelgrid", *words]
    assert command("add", "flat", "--holdout", "20%") == "labelgrid add flat --holdout 20%"
