"""Laws of counts and lists in words."""

import pytest

from labelgrid.basics.words import by_value, count_text, join_names


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 images are"), (1, "1 image is"), (2, "2 images are"), (12345, "12,345 images are")],
)
def test_one_is_singular_and_all_other_counts_are_plural(count: int, words: str) -> None:
    assert count_text(count, "image is", "images are") == words
    assert count_text(count, "image") == words.rpartition(" ")[0]


def test_a_list_shows_the_first_names_and_counts_the_others() -> None:
    names = [str(i) for i in range(22)]
    assert join_names(names) == ", ".join(names[:20]) + ", and 2 more"
    assert join_names(names[:20]) == ", ".join(names[:20]) and join_names([]) == ""
    assert join_names(names[:4], 2, "\n") == "0\n1\nand 2 more"


def test_numbers_of_any_length_have_an_order() -> None:
    assert by_value("0" * 9000 + "7") == by_value("7") < by_value("1" * 9000)
