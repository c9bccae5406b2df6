"""Compares the gradients of two processes that divide each batch with those of one process.

Prints a table: of every network, term and balancer, and of all combinations that must be equal, the largest
difference of a gradient as a share of the largest one of its parameter, in float64, over all steps; or why it is
refused. The trainings are small: six images of 32×64 pixels, with gaps, in batches of three, without batch norm and
dropout.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _measure import check_limit, machine

from tests.divided import discovered, needed, run

BAR = 1e-6


def main() -> int:
    """Print the table; 1 if a gradient differs by more than the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2, help="that divide a batch")
    parser.add_argument("--few", action="store_true", help="without the combinations")
    arguments = parser.parse_args()
    print(machine())
    cases = {case.label: case for case in discovered()}
    if not arguments.few:
        cases |= {case.label: case for case in needed()}
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        rows = run(list(cases.values()), Path(folder), arguments.processes)
    print(f"{len(cases)} trainings in {time.perf_counter() - start:.0f} s\n")
    print("| network, term, balancer | largest difference of a gradient | of the log |")
    print("| --- | --- | --- |")
    largest = 0.0
    for label in cases:
        row = rows[label]
        if "gradients" not in row:
            print(f"| {label} | {row.get('refused') or row['absent']} | – |")
            continue
        largest = max(largest, row["gradients"], row["log"])
        print(f"| {label} | {row['gradients']:.1e} | {row['log']:.1e} |")
    print()
    return int(not check_limit("the largest difference", largest, BAR, ""))


if __name__ == "__main__":
    sys.exit(main())
