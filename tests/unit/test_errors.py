"""What an error says, and with which status the command line ends."""

import shlex
from pathlib import Path

import pytest

from labelgrid import errors
from labelgrid.errors import LabelError, LabelgridError, UsageError, command, note_unchanged


def test_an_error_says_what_where_the_next_step_and_what_was_left():
    error = LabelError(
        "Depth is 8-bit.",
        where="a.png",
        next_step="Declare a scale.",
        unchanged="Nothing was imported.",
    )
    assert str(error) == "Depth is 8-bit (a.png).\n  Declare a scale. Nothing was imported."


def test_all_kinds_are_labelgrid_errors_and_usage_alone_exits_with_two():
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, LabelgridError)
    ]
    assert len(kinds) >= 9 and {kind for kind in kinds if kind.exit_code == 2} == {UsageError}


def test_a_refusal_says_what_the_command_left_unless_it_knows_better():
    for own, said in (("", "Nothing was made."), ("The old one is kept.", "The old one is kept.")):
        with (
            pytest.raises(LabelError) as caught,
            note_unchanged("Nothing was made."),
            note_unchanged(""),
        ):
            raise LabelError("It is wrong.", unchanged=own)
        assert str(caught.value) == f"It is wrong.\n  {said}"


def test_a_command_can_be_pasted_whatever_its_words_hold() -> None:
    words = ["remove", "my flat", "it's $HOME/a.jpg", "depth:scale=0.01"]
    assert shlex.split(command(*words)) == ["labelgrid", *words]
    assert command("fit", Path("-flat"), "--epochs", 3) == "labelgrid fit ./-flat --epochs 3"
    assert command("add", "flat", "--holdout", "20%") == "labelgrid add flat --holdout 20%"
