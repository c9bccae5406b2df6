"""What an error says, and with which status the command line ends."""

import shlex
from pathlib import Path

import pytest

from labelgrid.basics import errors
from labelgrid.basics.errors import (
    LabelError,
    LabelgridError,
    UsageError,
    command,
    note_unchanged,
    shortage,
)


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


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "memory"),
        (OSError(12, "Cannot allocate memory"), "memory"),
        (ImportError("x.so: failed to map segment from shared object"), "memory"),
        (RuntimeError("can't start new thread"), "threads"),
        (OSError(24, "Too many open files"), "file descriptors"),
        (ValueError("its end is missing"), None),
    ],
)
def test_a_shortage_is_known_by_its_type_or_words(error: Exception, said: str | None) -> None:
    found = shortage(error)
    assert (found is None) == (said is None)
    if found and said:
        assert said in found[0]
        assert "ulimit" in found[1]
