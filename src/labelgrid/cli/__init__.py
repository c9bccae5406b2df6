"""Defines the command line: one function per command, without logic, and the options of all.

Starts without torch.
"""

import os
import sys

import typer

from labelgrid.basics.errors import LabelgridError
from labelgrid.basics.files import of_system
from labelgrid.basics.processes import TOGETHER, set_up_process, stop_on_sigterm
from labelgrid.cli import (
    corrections,
    datasets,
    duplicates,
    exchange,
    grid,
    history,
    inspection,
    lab,
    ledger,
    model,
    options,
    page,
    screen,
)

#: The exit status after Ctrl-C or SIGTERM.
STOPPED = 130
app = typer.Typer(
    name="labelgrid",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},  # commands inherit them
    rich_markup_mode="rich",
    help="Decide which (image, task) labels to pay for next, "
    "and train on a partially labelled grid.",
    epilog="The usual order: init, query, export, import, fit, query, ... report. "
    "Each command has its own --help.",
)


app.callback()(options.root)
for part in (
    grid,
    exchange,
    corrections,
    history,
    model,
    inspection,
    duplicates,
    page,
    lab,
    datasets,
):
    for function in part.COMMANDS:
        app.command(function.__name__.strip("_").replace("_", "-"))(function)
for group in (ledger, datasets):
    group.register(app)


def main() -> None:
    """Run the command line.

    Exit codes: 1 for wrong input, 2 for wrong usage, 130 after Ctrl-C or SIGTERM.
    """
    # Pydantic would look for its own plug-ins in the metadata of every installed package.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    set_up_process()
    try:
        with stop_on_sigterm():
            code = app(prog_name="labelgrid", standalone_mode=False)
        if code == STOPPED:  # the parser caught Ctrl-C
            raise KeyboardInterrupt
    except LabelgridError as error:
        _tell_end(error)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _tell_end(None)
        sys.exit(STOPPED)
    except Exception as error:
        if wrong := of_system(error):
            _tell_end(wrong)
            sys.exit(1)
        if not hasattr(error, "show"):
            raise
        error.show()  # an error of the parser: wrong usage
        sys.exit(2)
    sys.exit(code or 0)


def _tell_end(error: LabelgridError | None) -> None:
    """Say why the command ends; None: it was stopped.

    If several processes were started together, the process that started them prints the end once.
    """
    if TOGETHER in os.environ:
        from labelgrid.executors.together import leave_error  # slow to load

        leave_error(error)
    elif error is None:
        screen.note("Stopped. Finished work is kept. Run the same command to resume.")
    else:
        screen.print_error(error)


__all__ = ["app", "main"]
