"""Builds the executor of a place that a user names. Starts nothing."""

from labelgrid.basics.errors import UsageError
from labelgrid.basics.plugins import create, names
from labelgrid.basics.processes import cores
from labelgrid.executors.executor import Executor

#: Where jobs run if nobody says it.
HERE = "processes"


def executor_at(on: str, workers: int, preload: str) -> Executor:
    """Build the executor of a place.

    It starts no process and connects to nothing before its first job.

    Args:
        on: the name of a plug-in of `executors.places`, if need be with an address: `ray:ADDRESS`;
            or one's own, as "package.module:name".
        workers: the number of jobs that run at a time; 0: one per processor core of this machine.
        preload: the module that the processes may load before they are asked for anything.

    Raises:
        PluginError: there is no such place.
        UsageError: the place takes no address, or lacks one, or is not installed.

    Example:
        >>> executor_at("processes", 3, "labelgrid.basics.errors").workers
        3
    """
    name, mark, address = on.partition(":")
    if name not in names("executors"):  # nobody's, or a user's own, whose name has a colon
        name = on
        address = ""
    elif mark and not address:
        raise UsageError(
            f"There is no address after the colon of '{on}'.",
            next_step=f"Give one, or `{name}` alone.",
        )
    wanted = preload, workers or cores(), address
    return create("executors", name, *wanted)


def refuse_address(place: str, address: str) -> None:
    """Refuse an address of a place without addresses.

    Raises:
        UsageError: there is one.
    """
    if address:
        raise UsageError(
            f"The place '{place}' takes no address, and got '{address}'.",
            next_step=f"Say `{place}` alone.",
        )
