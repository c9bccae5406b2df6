"""Keeps a preparation's training in a file, from which one that was killed resumes exactly."""

import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from labelgrid.basics.errors import ModelError
from labelgrid.basics.files import open_regular, write_bytes

#: The least number of seconds between two saves: the state of large modules takes a while.
SAVE_EVERY = 30.0


class Stateful(Protocol):
    """A module or an optimiser."""

    def state_dict(self) -> dict[str, Any]:
        """Its state."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Load its state."""


@dataclass
class Unfinished:
    """The file of a training in progress: its position and the states of its parts.

    The file holds tensors and plain values only.

    Args:
        path: of the file.
        parts: the modules and optimisers by name.

    Example:
        >>> import tempfile
        >>> folder, layer = Path(tempfile.mkdtemp()), torch.nn.Linear(1, 1)
        >>> Unfinished(folder / "state", {"layer": layer}).save((3, 1), now=True)
        >>> Unfinished(folder / "state", {"layer": layer}).resume()
        (3, 1)
    """

    path: Path
    parts: Mapping[str, Stateful]
    saved: float = field(default_factory=time.monotonic)

    def save(self, position: Sequence[int], *, now: bool = False) -> None:
        """Write the state atomically and durably, if the last save is long ago or `now`.

        Raises:
            ProjectError: the file cannot be written.
        """
        if not now and time.monotonic() - self.saved < SAVE_EVERY:
            return
        state: dict[str, Any] = {"position": list(position)}
        for name, part in self.parts.items():
            state[name] = part.state_dict()
        memory = io.BytesIO()  # torch would wrap an OSError of the disk in a RuntimeError
        torch.save(state, memory)
        write_bytes(self.path, memory.getbuffer(), durable=True)
        self.saved = time.monotonic()

    def resume(self) -> tuple[int, ...] | None:
        """Load the state without unpickling objects.

        Returns:
            The position; None if there is no file.

        Raises:
            ModelError: the file is damaged, or holds more than tensors and plain values.
        """
        if not self.path.exists():
            return None
        try:
            with open_regular(self.path) as file:
                state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
            for name, part in self.parts.items():
                part.load_state_dict(state[name])
            return tuple(map(int, state["position"]))
        except Exception as error:  # torch raises many types for damaged files
            raise ModelError(
                f"The state of an unfinished preparation cannot be read ({type(error).__name__}).",
                where=self.path,
                next_step="Remove the file and run `labelgrid fit` again: "
                "the preparation then starts again.",
            ) from error
