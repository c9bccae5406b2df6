"""How long work says how far it is, without knowing who listens."""

from typing import Protocol


class Progress(Protocol):
    """What long work reports to; the command line draws it with rate and ETA."""

    def start(self, what: str, total: int, unit: str) -> None:
        """A piece of work of `total` units begins; it ends the piece before."""

    def advance(self, amount: int = 1, note: str = "") -> None:
        """`amount` more units are done."""

    def say(self, text: str) -> None:
        """One line the user should read."""


class Silent:
    """Says nothing."""

    def start(self, what: str, total: int, unit: str) -> None:
        """As `Progress.start`."""

    def advance(self, amount: int = 1, note: str = "") -> None:
        """As `Progress.advance`."""

    def say(self, text: str) -> None:
        """As `Progress.say`."""
