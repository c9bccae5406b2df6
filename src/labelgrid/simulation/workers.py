"""Starts worker processes as forks of one server process that has loaded torch.

So each of them starts at once.
"""

import os
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from typing import Any

#: What the server loads: all that trains, scores and evaluates.
PRELOADED = "labelgrid.simulation.campaign"


def start_worker(target: Callable[..., None], *args: Any, name: str = "") -> BaseProcess:
    """Start `target(*args)` in a process of its own, with the environment variables of now.

    The server is started with the first worker, and ends with this process.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload([PRELOADED])
    process = context.Process(
        target=_work, args=(dict(os.environ), target, *args), name=name or None
    )
    process.start()
    return process


def _work(environment: Mapping[str, str], target: Callable[..., None], *args: Any) -> None:
    os.environ.clear()  # the server has the variables of when the first worker was started
    os.environ.update(environment)
    target(*args)
