"""Defines the interface for reports of progress of long work."""

from collections.abc import Mapping
from typing import Any, Protocol


class Progress(Protocol):
    """Receives the progress of long work; the command line shows it with rate and ETA."""

    def start(self, step: str, total: int, unit: str) -> None:
        """Start a step of `total` units; the step before ends."""

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Record that `amount` more units are done."""

    def say(self, text: str) -> None:
        """Show one line to the user."""


class StudyProgress(Progress, Protocol):
    """Receives the progress of a study, which reads images and then runs."""

    def show(self, statuses: Mapping[str, Any]) -> None:
        """Show the status of each run, by key; called a few times a second."""


class Silent:
    """Ignores all progress."""

    def start(self, step: str, total: int, unit: str) -> None:
        """As `Progress.start`."""

    def advance(self, amount: int = 1, note: str = "") -> None:
        """As `Progress.advance`."""

    def say(self, text: str) -> None:
        """As `Progress.say`."""
