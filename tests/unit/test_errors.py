"""What an error says, and with which status the command line ends."""

from labelgrid import errors
from labelgrid.errors import LabelError, LabelgridError, UsageError


def test_an_error_says_what_where_the_next_step_and_what_was_left():
    error = LabelError(
        "Depth is 8-bit.", where="a.png", next_step="Declare a scale.", unchanged="Nothing was imported."
    )
    assert str(error) == "Depth is 8-bit (a.png).\n  Declare a scale. Nothing was imported."


def test_all_kinds_are_labelgrid_errors_and_usage_alone_exits_with_two():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, LabelgridError)]
    assert len(kinds) >= 9 and {kind for kind in kinds if kind.exit_code == 2} == {UsageError}
