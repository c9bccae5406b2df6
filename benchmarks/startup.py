"""Measures the start-up time of the command line.

Runs `labelgrid --help` in separate processes, in turns with a Python that does nothing (the minimum
for any Python program) and with a Python that loads torch (the cost of every command if torch were
loaded at the start).
"""

import argparse
import sys
from statistics import median

from _measure import Measurement, check_limit, command, labelgrid, machine

BAR = 0.5


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(words)
    print(machine())
    sides = {
        "labelgrid --help": labelgrid("--help"),
        "python -c pass": [sys.executable, "-c", "pass"],
        "python -c 'import torch'": [sys.executable, "-c", "import torch"],
    }
    found: dict[str, list[Measurement]] = {name: [] for name in sides}
    for line in sides.values():
        command(line)  # once, so that the files are in memory and compiled
    for _ in range(options.repeats):
        for name, line in sides.items():
            found[name].append(command(line))
    for name, runs in found.items():
        wall, processor = (
            median(values) for values in zip(*((r.seconds, r.processor) for r in runs), strict=True)
        )
        print(
            f"  {name:28} {wall:7.3f} s  (processor {processor:7.3f} s, peak {max(r.peak for r in runs):5.0f} MiB)"
        )
    help_, nothing, torch = (median(run.seconds for run in runs) for runs in found.values())
    print(
        f"labelgrid --help / nothing: {help_ / nothing:.3g} x; / import torch: {help_ / torch:.3g} x"
    )
    return 0 if check_limit("labelgrid --help", help_, BAR, "s") else 1


if __name__ == "__main__":
    raise SystemExit(main())
