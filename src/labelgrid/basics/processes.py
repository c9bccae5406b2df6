"""Sets up processes: workers end with their parent and use a given number of threads.

SIGTERM stops as Ctrl-C. Threads that wait leave the cores to other programs. Libraries load fast,
and arrays find memory that others left.
"""

import ctypes
import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

#: Linux's `prctl` option for the signal that a process gets when its parent ends (linux/prctl.h).
PR_SET_PDEATHSIG = 1
#: The environment variable of processes that `labelgrid.executors.together` starts: the folder
#: through which they connect, and leave their errors.
TOGETHER = "LABELGRID_TOGETHER"
#: How often waiting threads of GNU's OpenMP look before they sleep.
SPINS = "GOMP_SPINCOUNT"
#: For how many ticks of the processor (as a power of two) those of NumPy's OpenBLAS do; 26: 30 ms.
TICKS = "OPENBLAS_THREAD_TIMEOUT"
#: Linux's load of the machine: averages over 1, 5 and 15 minutes, then what runs now (proc(5)).
LOAD = Path("/proc/loadavg")
#: After how many new objects, and how many such times, Python looks for garbage.
RARELY = (20_000, 20, 50)
#: glibc's options (malloc.h) and their values: blocks of up to 32 MiB, glibc's own bound, come from
#: memory that stays with the process, of whose end at most 128 MiB are unused.
KEPT = {-3: 2**25, -1: 2**27}
#: With one of these environment variables the user has chosen.
CHOSEN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
#: What `limit_spinning` set.
_chosen: dict[str, str] = {}
#: The environment variable with the token of `labelgrid serve`; no other machine is told.
PAGE_TOKEN = "LABELGRID_TOKEN"


def end_with_parent() -> None:
    """End this process when the parent ends, and immediately at SIGTERM.

    It also ends if the parent was killed before this call.
    """
    import multiprocessing  # slow to load, and every command loads this module

    # A forked process inherits the handler of `stop_on_sigterm`.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent()
    # This is not the system's parent, which may be the fork server.
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if not parent.is_alive():
        os._exit(1)
    elif parent.pid != os.getppid():  # the fork server ends later than the parent
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def die_with_parent() -> None:
    """Let Linux kill this process when the parent process ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_after(parent: "BaseProcess") -> None:
    parent.join()
    os._exit(1)


def set_threads(threads: int) -> None:
    """Let this process compute with `threads` threads (0: torch's default)."""
    import torch

    if threads:
        torch.set_num_threads(threads)


def set_up_process() -> None:
    """Choose how a process of labelgrid waits for threads, collects garbage and keeps memory."""
    limit_spinning()
    look_rarely_for_garbage()
    keep_freed_memory()


def limit_spinning() -> None:
    """Let waiting threads sleep soon, unless the user chose otherwise.

    GNU's OpenMP, with which torch computes, reads this when torch is loaded. By default, waiting
    threads spin ten times as long; on busy cores they take time from the thread that the others
    wait for. There they sleep at once. On a machine that nothing else uses they would be slow to
    wake (benchmarks/busy_machine.py). Threads of NumPy's products, which are rarely needed again at
    once, sleep soon on every machine. Neither changes a result.
    """
    if TICKS not in os.environ:
        _chosen[TICKS] = "16"
    if "OMP_WAIT_POLICY" not in os.environ and SPINS not in os.environ:
        _chosen[SPINS] = "0" if _is_busy() else "30000"
    os.environ.update(_chosen)


def given_environment() -> dict[str, str]:
    """The environment without what `limit_spinning` chose: later commands choose for themselves."""
    return {name: text for name, text in os.environ.items() if _chosen.get(name) != text}


def _is_busy() -> bool:
    """Whether other programs leave too few cores for a thread on each.

    The average of the last minute may come from the user's previous command, which has ended. So
    the average counts only above the load of a single command. Running processes other than this
    one always count.
    """
    try:
        average, _, _, now, *_ = LOAD.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return False
    others = int(now.partition("/")[0]) - 1
    return float(average) > cores() or others >= cores() / 2


def look_rarely_for_garbage() -> None:
    """Raise the thresholds of Python's garbage collector.

    Loading torch makes hundreds of thousands of objects and no garbage: looking for it after every
    700 took a tenth of the time.
    """
    gc.set_threshold(*RARELY)


def keep_freed_memory() -> None:
    """Let glibc keep the memory of arrays for the next ones, unless the user chose otherwise.

    By default, each label of a loop gets new pages of memory from the system, and gives them back:
    a third of the time of reading normals, and of a training's losses (benchmarks/decoding.py).
    """
    if sys.platform != "linux" or any(name in os.environ for name in CHOSEN):
        return
    library = ctypes.CDLL(None)
    for option, size in KEPT.items():
        if hasattr(library, "mallopt"):  # other C libraries have none
            library.mallopt(option, size)


@contextmanager
def loading() -> Iterator[None]:
    """Load libraries inside without looking for garbage, and later not among what was loaded.

    It does nothing in processes of users, which do not call `look_rarely_for_garbage`.
    """
    if gc.get_threshold()[0] != RARELY[0] or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


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


def started_at(pid: int) -> str | None:
    """When a process was started, in the system's own words; None if it does not run.

    Where the system does not say it, "".
    """
    if sys.platform != "linux":
        try:
            os.kill(pid, 0)
        except PermissionError:
            return ""
        except (OSError, OverflowError):
            return None
        return ""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *fields = text.rpartition(")")[2].split()  # its name, in brackets, may hold anything
    if state in "ZX":  # it has ended, and its parent has not asked yet
        return None
    return fields[18]


def cores() -> int:
    """The number of usable processors of this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def stops_held() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the block has ended; then they are handled.

    For calls of libraries that lose one now and then. Only the main thread gets signals: of another
    thread nothing changes.

    Raises:
        KeyboardInterrupt: as by the handlers of the signals, after the block.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held = []
    handlers = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        if callable(handler):
            handlers[number] = handler
            signal.signal(number, lambda number, _: held.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for received in held:
        handlers[signal.Signals(received)](received, None)
