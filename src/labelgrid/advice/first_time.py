"""Measures how long a round of a new project takes here, in a process that can harm nothing.

Loads no torch: the process does, and may run out of memory or of its time.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from labelgrid.basics.errors import command
from labelgrid.basics.files import install_first, missing_for_networks
from labelgrid.basics.processes import end_with_parent
from labelgrid.basics.words import duration
from labelgrid.executors.command_job import python_words

#: The most seconds of a measurement, most of which go into loading torch.
LIMIT = 30.0
#: A round that takes so many seconds at most is short enough; see `round_times`.
SHORT = 900.0


@dataclass(frozen=True, kw_only=True)
class FirstTime:
    """How long a round takes, as far as it was measured.

    Args:
        folder: the folder of the project.
        recipe: the project's recipe; "" if it was not measured.
        seconds: the seconds of a round with it.
        is_late: whether the measurement did not end in time.
    """

    folder: Path
    recipe: str = ""
    seconds: float = 0.0
    is_late: bool = False

    def __str__(self) -> str:
        """The time in a sentence, with the command that says more."""
        more = ", then ".join([*install_first(), command("time", self.folder)])
        if self.is_late:
            return (
                f"On this machine {LIMIT:g} s are too short to measure the recipe. Which one fits: "
                f"{more}"
            )
        if not self.recipe:
            return f"How long a round takes here, and which recipe fits: {more}"
        takes = f"{self.recipe} takes about {duration(self.seconds)}"
        if self.seconds > SHORT:
            return (
                f"On this machine a round of the recipe {takes}, which is long. Which one fits: "
                f"{more}"
            )
        return f"On this machine a round of the recipe {takes}: it fits. The others: {more}"


def first_time(folder: Path) -> FirstTime:
    """Measure a round of a project's recipe; whatever happens, Ctrl-C too, there is an answer."""
    if missing_for_networks():
        return FirstTime(folder=folder)
    words = [*python_words(), "-m", "labelgrid", "time", str(folder), "--own-recipe", "--json"]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT,
            check=True,
            preexec_fn=end_with_parent,
        )
        (measured,) = json.loads(done.stdout)["times"]
        return FirstTime(folder=folder, recipe=measured["recipe"], seconds=measured["seconds"])
    except subprocess.TimeoutExpired:
        return FirstTime(folder=folder, is_late=True)
    except (subprocess.SubprocessError, OSError, ValueError, KeyError, KeyboardInterrupt):
        return FirstTime(folder=folder)
