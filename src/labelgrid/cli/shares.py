"""Says which share of a command's work was done, where processes divide the work."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from labelgrid.basics.type_names import Json
from labelgrid.cli import screen

if TYPE_CHECKING:  # most commands divide no work
    from labelgrid.executors.share import Share


def share_at(on: str) -> "Share":
    """The share of the work of this process at a place; all work without a place.

    Raises:
        PluginError: there is no such place.
        UsageError: it cannot be used.

    Example:
        >>> share_at("processes").is_all
        True
    """
    from labelgrid.executors.share import EVERYTHING
    from labelgrid.executors.workplace import executor_at

    if on:
        return executor_at(on, 1, "labelgrid").share
    return EVERYTHING


def share_values(share: "Share") -> Json:
    """A share as JSON values; none if it is all of the work.

    Example:
        >>> from labelgrid.executors.share import Share
        >>> share_values(Share(0, 2))
        {'share': {'index': 0, 'count': 2}}
    """
    if share.is_all:
        return {}
    return {"share": asdict(share)}


def said_share(on: str, json: bool) -> bool:
    """Whether a command did only a share of the work; says which share."""
    share = share_at(on)
    if json and not share.is_all:
        screen.print_json(share_values(share))
    return not share.is_all
