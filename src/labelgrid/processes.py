"""How a process that was begun for another settles in, and ends with it."""

import ctypes
import multiprocessing
import os
import signal
import sys

#: Linux's `prctl` option: the signal a process gets when its parent ends (linux/prctl.h).
PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """End this process when its parent does, even one that was killed before this was called."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = multiprocessing.parent_process()  # not the system's: that may be a server that makes processes
    if parent is not None and not parent.is_alive():
        os._exit(1)


def init_worker(threads: int) -> None:
    """Begin a process that computes: it ends with its parent, and uses so many threads (0: the library's choice)."""
    end_with_parent()
    import torch

    if threads:
        torch.set_num_threads(threads)


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
