"""Laws of the held-out predictions that a report shows: the worst, the middle, and of one model only."""

import math

import pytest

from labelgrid.basics.errors import ProjectError
from labelgrid.project.heldout_examples import (
    EXAMPLES,
    LIST,
    HeldoutExample,
    choose_examples,
    read_examples,
    write_examples,
)

VALUES = {"a": 4.0, "b": 1.0, "c": math.nan, "d": 3.0, "e": 2.0, "f": 5.0}


def test_the_worst_is_at_the_end_that_is_not_better_and_the_median_in_the_middle() -> None:
    assert choose_examples(VALUES, "higher") == {"median": "d", "worst": "b"}
    assert choose_examples(VALUES, "lower") == {"median": "d", "worst": "f"}


def test_one_image_is_the_worst_and_none_is_chosen_of_none() -> None:
    assert choose_examples({"a": 1.0, "b": math.nan}, "lower") == {"worst": "a"}
    assert choose_examples({"b": math.nan}, "lower") == choose_examples({}, "lower") == {}


def test_equal_images_are_taken_by_name() -> None:
    assert choose_examples({"b": 1.0, "a": 1.0}, "lower") == {"median": "b", "worst": "a"}


def example(place: str, model: str = "m") -> HeldoutExample:
    return HeldoutExample(
        task="depth", image_id="a.jpg", place=place, value=0.5, file="depth/x.png", model=model
    )


def test_the_median_comes_first_and_predictions_of_another_model_do_not_count(tmp_path) -> None:
    folder = tmp_path / EXAMPLES
    folder.mkdir()
    assert read_examples(tmp_path, "m") == []
    write_examples(folder, [example("worst"), example("median"), example("worst", "other")])
    assert [one.place for one in read_examples(tmp_path, "m")] == ["median", "worst"]
    assert read_examples(tmp_path, "new") == []


@pytest.mark.parametrize("text", ["[", "3", "[1]", '[{"task": "depth"}]', '[{"place": "best"}]'])
def test_a_damaged_list_is_refused_with_its_remedy(tmp_path, text) -> None:
    (tmp_path / EXAMPLES).mkdir()
    (tmp_path / EXAMPLES / LIST).write_text(text)
    with pytest.raises(ProjectError, match="damaged") as caught:
        read_examples(tmp_path, "m")
    assert "labelgrid evaluate" in caught.value.next_step
