"""Measures time in interleaved pairs, and memory in separate processes."""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from labelgrid.basics.processes import keep_freed_memory

keep_freed_memory()  # as commands do


def machine() -> str:
    """A description of the machine; its load shows whether other work disturbed the figures."""
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else os.environ.get("OMP_NUM_THREADS", "default")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, "
        f"torch {version('torch')}, {threads} threads, load of the last 1, 5, 15 minutes: {load}"
    )


@dataclass(frozen=True)
class Times:
    """Seconds of each repetition: wall time and processor time (all threads of this process)."""

    wall: list[float]
    processor: list[float]

    def over(self, other: "Times") -> float:
        """The median ratio of this side's wall time to the other's, over pairs of repetitions."""
        return median(mine / its for mine, its in zip(self.wall, other.wall, strict=True))

    def work_over(self, other: "Times") -> float:
        """As `over`, for processor time, which other programs disturb less."""
        return median(mine / its for mine, its in zip(self.processor, other.processor, strict=True))


def interleaved(sides: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, Times]:
    """Run each side once to warm up, then all sides in turns, so that disturbances affect all of them."""
    for side in sides.values():
        side()
    times = {name: Times([], []) for name in sides}
    for _ in range(repeats):
        for name, side in sides.items():
            wall = time.perf_counter()
            processor = time.process_time()
            side()
            times[name].wall.append(time.perf_counter() - wall)
            times[name].processor.append(time.process_time() - processor)
    return times


def show(times: Mapping[str, Times]) -> None:
    """Print the medians."""
    for name, side in times.items():
        print(
            f"  {name:44} {median(side.wall) * 1e3:10.1f} ms  (processor {median(side.processor) * 1e3:10.1f} ms)"
        )


def add_row(claim: str, bar: str, measured: str) -> None:
    """Add a row to the Markdown table in the file that `BENCH_TABLE` names, if it does; see `gpu.sh`."""
    table = os.environ.get("BENCH_TABLE")
    if not table:
        return
    words = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    with Path(table).open("a", encoding="utf-8") as file:
        file.write(f"| {claim} | {bar} | {measured} | `{words}` |\n")


def check_limit(
    claim: str, value: float, bar: float, unit: str = "x", *, least: bool = False
) -> bool:
    """Print a figure and its limit (a maximum, or with `least` a minimum).

    Return whether it is met.
    """
    holds = value >= bar if least else value <= bar
    sign = ">=" if least else "<="
    add_row(claim, f"{'≥' if least else '≤'} {bar:g} {unit}", f"{value:.3g} {unit}")
    print(
        f"{claim}: {value:.3g} {unit}, bar {sign} {bar:g} {unit}: {'holds' if holds else 'DOES NOT HOLD'}",
        flush=True,
    )
    return holds


def peak_mib() -> float:
    """The peak memory of this process in MiB (Linux resets its count for a new program)."""
    status = Path("/proc/self/status")
    if status.exists():
        return (
            int(
                next(
                    line.split()[1]
                    for line in status.read_text().splitlines()
                    if line.startswith("VmHWM")
                )
            )
            / 1024
        )
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_isolated(file: str, *words: str | int) -> Any:
    """Run a benchmark file with arguments in a separate process.

    Return the JSON of its last line.
    """
    done = subprocess.run(
        [sys.executable, file, *map(str, words)], check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


#: The unit of time of `/proc`.
TICKS = os.sysconf("SC_CLK_TCK")


def processor_of(process: int) -> float:
    """The processor seconds of a process and those it has started, whether they run or ended (Linux).

    It does not count those that its children have started.
    """
    total = sum(_times(process)[:4])
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return (total + sum(sum(_times(int(child))[:2]) for child in children)) / TICKS


def _times(process: int) -> list[int]:
    """A process's user and system time, and those of its ended children, in ticks."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:  # it has ended meanwhile
        return [0] * 4
    fields = text.rpartition(")")[2].split()
    return [int(field) for field in fields[11:15]]


@dataclass(frozen=True)
class Measurement:
    """The result of a command: wall and processor seconds, peak MiB, and its output."""

    seconds: float
    processor: float
    peak: float
    text: str


def command(words: Sequence[str], cwd: str | os.PathLike[str] | None = None) -> Measurement:
    """Run a command in a separate process.

    Its peak memory is at least this process's, from which it starts: load nothing large here.
    """
    start = time.perf_counter()
    with subprocess.Popen(words, cwd=cwd, stdout=subprocess.PIPE, text=True) as process:
        text = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} exits with {process.returncode}.")
    return Measurement(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text)


def labelgrid(*words: str | int) -> list[str]:
    """The arguments that run the real command line."""
    return [sys.executable, "-m", "labelgrid", *map(str, words)]
