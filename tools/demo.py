"""Runs a demonstration in five minutes: a live campaign, then what it gains over random cells at equal labels.

Each step is a command, which is printed before it runs. The comparison takes the time that is left:
on a busy machine it has fewer seeds.
"""

import argparse
import shutil
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labelgrid.basics.words import count_text
from labelgrid.drawings.wording import number, rough_number
from labelgrid.lab.reports.campaign_measures import study_measures
from labelgrid.lab.reports.measure import deciding_measure
from labelgrid.lab.reports.study_data import study_report
from labelgrid.lab.reports.verdicts import power_statement, verdict_rows
from tools import watched
from tools.source import ROOT

OUT = Path("out/demo")
LABELGRID = ".venv/bin/labelgrid"
ROOMS = f"{OUT}/rooms"
CAMPAIGN = f"{OUT}/campaign"
COMPARISON = f"{OUT}/comparison"
COMPARED = f"{OUT}/comparison.html"
CLASSES = f"{OUT}/classes.txt"
#: Seconds for all, and those of them that are kept for the last report.
SECONDS = 280.0
LAST = 25.0
#: With fewer seconds left, no comparison is begun.
LEAST = 15.0
#: Seconds for the rooms beyond which the machine is busy, and the epochs there and on photographs.
BUSY = 25.0
BUSY_EPOCHS = 30
#: The arm that others are compared with.
BASELINE = "random_cells"
#: With this many seeds a difference between two strategies can be significant.
SEEDS = 6
#: The real frames of NYUv2 and ImageNet weights, where a machine has them.
FRAMES = "../shared/data/nyuv2"
WEIGHTS = "../shared/data/weights/timm_mobilenetv2_100.safetensors"


class DemoError(Exception):
    """A command of the demonstration failed; holds its exit status."""

    def __init__(self, code: int) -> None:
        super().__init__(f"a command ended with exit status {code}")
        self.code = code


@dataclass
class Clock:
    """The time that the demonstration may take."""

    seconds: float
    began: float

    @property
    def left(self) -> float:
        """Seconds until the last report has to begin."""
        return self.began + self.seconds - LAST - time.monotonic()


def main(words: Sequence[str] | None = None) -> int:
    """Run all of it in the repository's folder; stop at the first failure."""
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__)
    parser.add_argument(
        "--photographs",
        action="store_true",
        help=f"the campaign on frames of NYUv2 in {FRAMES}, not on rooms",
    )
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"for all of it (default: {SECONDS:.0f})"
    )
    options = parser.parse_args(words)
    clock = Clock(options.seconds, time.monotonic())
    if options.photographs and not (ROOT / FRAMES).is_dir():
        print(f"There are no frames of NYUv2 in {FRAMES}: run ./dev demo on rooms.")
        return 1
    shutil.rmtree(ROOT / OUT, ignore_errors=True)
    try:
        busy = render()
        campaign(options.photographs, busy)
        compared = compare(clock)
    except DemoError as failed:
        return failed.code
    show_results(compared)
    print(f"\nAll this took {time.monotonic() - clock.began:.0f} s.")
    return 0


def labelgrid(*words: str, limit: float | None = None) -> int:
    """Print one labelgrid command and run it; returns its exit status."""
    print(f"\n$ labelgrid {' '.join(words)}", flush=True)
    return watched.run(["-m", "labelgrid", *words], limit)


def must(code: int) -> None:
    """Go on only after a command that succeeded."""
    if code:
        raise DemoError(code)


def render() -> bool:
    """Render the rooms; returns whether the machine is busy."""
    print("1. Rooms, with the labels that a campaign pays for.", flush=True)
    began = time.monotonic()
    size = ["--count", "150", "--size", "72x96", "--samples", "8"]
    must(labelgrid("scenes", ROOMS, *size))
    tasks = tomllib.loads((ROOT / ROOMS / "tasks.toml").read_text())
    (ROOT / CLASSES).write_text("\n".join(tasks["semseg"]["classes"]) + "\n")
    return time.monotonic() - began > BUSY


def campaign(photographs: bool, busy: bool) -> None:
    """Run a live campaign with relations: 12 images to measure on, pairs, and two rounds."""
    print(
        "\n2. A live campaign. Normals and edges follow from depth and classes, so few are bought."
    )
    words = ["--data", "folder", "--root", ROOMS, "--classes", CLASSES, "--recipe", "demo"]
    if photographs:
        words = ["--data", "nyud", "--root", FRAMES, "--classes", f"{FRAMES}/classes40.txt"]
        words += ["--weights", WEIGHTS]
    words += ["--out", CAMPAIGN, "--frames", "48", "--holdout", "12"]
    words += ["--pairs", "6", "--rounds", "2", "--budget", "24"]
    if busy:
        print("This machine is busy, so networks are trained for less time.")
    if busy or photographs:
        words += ["--epochs", str(BUSY_EPOCHS)]
    print(f"$ python examples/related_campaign.py {' '.join(words)}", flush=True)
    must(watched.run(["examples/related_campaign.py", *words]))


def compare(clock: Clock) -> bool:
    """Compare with random cells at equal labels, with the seeds that there is time for; False: with none."""
    print(
        f"\n3. Is that better than random cells? {max(clock.left, 0):.0f} s are left to find out."
    )
    began = time.monotonic()
    if clock.left < LEAST or not simulate(1, clock):
        print("That is too little for one seed, so there is no comparison.", flush=True)
        return False
    took = time.monotonic() - began
    seeds = min(SEEDS, 1 + int(clock.left / took))
    print(f"One seed took {took:.0f} s, so there is time for {seeds} of {SEEDS}.", flush=True)
    if seeds > 1:
        simulate(seeds, clock)
    must(labelgrid("report", COMPARISON, "--out", COMPARED))
    return True


def simulate(seeds: int, clock: Clock) -> bool:
    """Run the comparison with some seeds; returns whether there was time for them."""
    words = ["demo", "--data", ROOMS, "--out", COMPARISON, "--seeds", str(seeds)]
    code = labelgrid("simulate", *words, limit=clock.left)
    if code == watched.STOPPED:
        print("The time is over; the same command goes on with the rest.", flush=True)
        return False
    must(code)
    return True


def print_verdict() -> None:
    """Print whether the comparison sees a difference, and what its seeds can show."""
    measures = study_measures(study_report(ROOT / COMPARISON))
    measure = deciding_measure(measures[0])
    if measure is None:
        return
    for row in verdict_rows(measure, BASELINE):
        comparison = row.compared
        print(
            f"{row.arm} against {row.baseline}: {comparison.words} ({measure.name} "
            f"{rough_number(comparison.mean)}, {count_text(comparison.seeds, 'seed')}, p = {number(comparison.holm)})."
        )
    print(power_statement(measure.pairs))


def show_results(compared: bool) -> None:
    """Print what was found, where it is to be seen, and what to try next."""
    print()
    if compared:
        print_verdict()
    print(f"""
Open this page: {CAMPAIGN}/report.html
  the campaign: what each round gained on held-out images, costs, the last picks with their predictions""")
    if compared:
        print(f"""Open this page: {COMPARED}
  the comparison: the verdict, curves over labels and over cost, each task""")
    print(f"""
$ {LABELGRID} serve {CAMPAIGN}
  shows in a browser: the grid of images and tasks, each image under its labels, classes, history

What to try next:
  more seeds:             {LABELGRID} simulate demo --data {ROOMS} --out {COMPARISON} --seeds {SEEDS}
  one more round:         {LABELGRID} query {CAMPAIGN} --budget 24
  with your own images:   {LABELGRID} init NAME --images FOLDER --task depth   (README.md goes on)""")


if __name__ == "__main__":
    raise SystemExit(main())
