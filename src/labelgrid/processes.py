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
    """End this process when its parent ends, and at once at SIGTERM.

    It also ends if the parent was killed before this call.
    """
    # A forked process inherits the handler of `stop_on_sigterm`.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # This is not the system's parent, which may be the fork server.
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if not parent.is_alive():
        os._exit(1)
    elif parent.pid != os.getppid():  # the fork server ends later than the parent
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def init_worker(threads: int) -> None:
    """Set up a worker that computes with `threads` threads (0: torch's default).

    It ends with its parent.
    """
    end_with_parent()
    import torch

    if threads:
        torch.set_num_threads(threads)


@contextmanager
def stop_on_sigterm() -> Iterator[None]:
    """Let SIGTERM stop the block as Ctrl-C does, with a `KeyboardInterrupt`.

    Schedulers and containers send it. A second one is ignored, so that the block can clean up.
    Where SIGTERM is handled or ignored already, it stays so.
    """

    def stop(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    previous = signal.getsignal(signal.SIGTERM)
    # Only the main thread can set a handler.
    is_main_thread = threading.current_thread() is threading.main_thread()
    if previous != signal.SIG_DFL or not is_main_thread:
        yield
        return
    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def cores() -> int:
    """The number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
