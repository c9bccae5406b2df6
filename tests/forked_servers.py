"""Lets a command in a fork that has loaded the libraries start its server of forks as a fork, too.

A new Python would load them again. A process with threads starts a new one, as a fork has none of them.
"""

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import forkserver, util
from pathlib import Path
from typing import Any

#: What the code of a server begins with; other processes of `multiprocessing` load little.
SERVER = "from multiprocessing.forkserver import main;"

_spawn = util.spawnv_passfds  # type: ignore[attr-defined]


def fork_servers() -> None:
    """Do so in this process from now on."""
    util.spawnv_passfds = _forked  # type: ignore[attr-defined]


def _forked(path: bytes, words: Sequence[str], files: Sequence[int]) -> int:
    if not words[-1].startswith(SERVER) or threading.active_count() > 1:
        pid: int = _spawn(path, words, files)
        return pid
    process = os.fork()
    if not process:
        _serve(words[-1], {0, 1, 2, *files})
    return process


def _serve(code: str, files: set[int]) -> None:
    """Serve with these files open, and end."""
    try:
        for link in [*Path("/proc/self/fd").iterdir()]:
            if int(link.name) not in files:
                with suppress(OSError):  # the one that listed them
                    os.close(int(link.name))
        server: Any = forkserver._forkserver  # type: ignore[attr-defined]
        server.__init__()  # the lock is held, and what it knows is of its parent
        exec(code, {"__name__": "__main__"})
    finally:
        os._exit(0)
