"""Runs a command and passes its output on; says so while it prints nothing, and stops it after some time."""

import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import IO

from tools.source import ROOT

#: Seconds without output after which a line says that the command is still at work.
QUIET = 7.0
#: The exit status of a command that was stopped, as that of Ctrl-C.
STOPPED = 130
#: Several threads a process would wait for one another on busy cores.
ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}


def run(words: Sequence[str], limit: float | None = None, quiet: float = QUIET) -> int:
    """Run a Python module or file with the words that follow it, in the repository's folder.

    Args:
        words: what follows `python`.
        limit: seconds after which the command is stopped as by Ctrl-C; None: never.
        quiet: seconds without output after which a line says so.

    Returns:
        The command's exit status.
    """
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=partial(
            signal.signal, signal.SIGINT, signal.SIG_DFL
        ),  # a shell's background ignores it
    )
    with process:
        _pass_on(process, math.inf if limit is None else limit, quiet)
    return process.returncode


def _pass_on(process: "subprocess.Popen[str]", limit: float, quiet: float) -> None:
    """Print a process's lines as they come, until it ends; stop it after the limit."""
    began = time.monotonic()
    assert process.stdout is not None
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
    begun = False  # Python that still starts cannot end in order
    while True:
        try:
            line = lines.get(timeout=quiet)
            begun = True
        except queue.Empty:
            line = f"... still at work, for {time.monotonic() - began:.0f} s\n"
        if not line:
            return
        print(line, end="", flush=True)
        if begun and time.monotonic() - began > limit:
            process.send_signal(signal.SIGINT)
            limit = math.inf


def _read(stream: IO[str], lines: "queue.SimpleQueue[str]") -> None:
    """Hand on all lines of a stream, and "" at its end."""
    for line in stream:
        lines.put(line)
    lines.put("")
