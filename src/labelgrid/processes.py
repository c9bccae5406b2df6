"""Sets up worker processes: they end with their parent and use a given number of threads."""

import ctypes
import multiprocessing
import os
import signal
import sys

#: Linux's `prctl` option for the signal that a process gets when its parent ends (linux/prctl.h).
PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """End this process when its parent ends, also if the parent was killed before this call."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = multiprocessing.parent_process()  # not the system's parent, which may be the fork server
    if parent is not None and not parent.is_alive():
        os._exit(1)


def init_worker(threads: int) -> None:
    """Set up a worker that computes: it ends with its parent and uses `threads` threads (0: torch's default)."""
    end_with_parent()
    import torch

    if threads:
        torch.set_num_threads(threads)


def cores() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
