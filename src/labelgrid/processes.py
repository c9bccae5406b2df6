"""Sets up processes: workers end with their parent and use a given number of threads.

SIGTERM stops as Ctrl-C.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

#: Linux's `prctl` option for the signal that a process gets when its parent ends (linux/prctl.h).
PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """End this process when its parent ends, also if the parent was killed before this call, and at once at SIGTERM."""
    signal.signal(
        signal.SIGTERM, signal.SIG_DFL
    )  # a forked process inherits the handler of `stop_on_sigterm`
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = (
        multiprocessing.parent_process()
    )  # not the system's parent, which may be the fork server
    if parent is not None and not parent.is_alive():
        os._exit(1)
    elif (
        parent is not None and parent.pid != os.getppid()
    ):  # the fork server ends later than the parent
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def init_worker(threads: int) -> None:
    """Set up a worker that computes: it ends with its parent and uses `threads` threads (0: torch's default)."""
    end_with_parent()
    import torch

    if threads:
        torch.set_num_threads(threads)


@contextmanager
def stop_on_sigterm() -> Iterator[None]:
    """Let SIGTERM stop the block as Ctrl-C does, with a `KeyboardInterrupt`: schedulers and containers send it.

    A second one is ignored, so that the block can clean up. Where SIGTERM is handled or ignored
    already, it stays so.
    """

    def stop(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    previous = signal.getsignal(signal.SIGTERM)
    main_thread = threading.main_thread()
    if (
        previous != signal.SIG_DFL or threading.current_thread() is not main_thread
    ):  # no other thread can set a handler
        yield
        return
    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def cores() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
