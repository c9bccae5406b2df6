"""Records what commands do, and compares it with what they do later: for changes that must change nothing.

    python -m tools.behaviour record FOLDER     before: a campaign, a study, and four commands that are killed
    python -m tools.behaviour compare FOLDER    after: the same again, and the killed ones are resumed

Compared are the JSON of each command, picks, score tables and weights, bit for bit. Times, versions and
the places of files are left out. Keep FOLDER where it is: projects know where their images are.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from labelgrid.basics.files import digest
from labelgrid.train.checkpoint import load

RECORD = "recorded.json"
#: One thread: then sums have one order.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "COLUMNS": "100", "PYTHONUNBUFFERED": "1"}
#: Keys of JSON whose values are another in each run.
VARYING = re.compile(
    r"^(at|seconds|.*_seconds|time|times|began|ended|version|labelgrid|python|torch|load|cores"
    r"|moment|minutes|hours|wall|cpu|rate|per_second|machine|host|pid|memory.*)$"
)
#: The files of a project and of a study that are compared byte for byte.
FILES = ("**/scores.parquet", "**/picks.csv", "**/picks.parquet", "**/outcomes.csv", "audit.csv")
#: Seconds that a command may take.
LIMIT = 1800

RECIPE = """extends = "demo"

[train]
steps = 12
"""
STUDY = """extends = "demo"

[train]
steps = 6

[simulate]
initial = 4
budget = 12
rounds = 1
seeds = 2
"""
TASK_NAMES = ("semseg", "depth", "normals", "edges")
TASKS = ("--task", "semseg:classes.txt", "--task", "depth", "--task", "normals", "--task", "edges")
PROJECT = ("--recipe", "recipe.toml", "--seed", "3", "--holdout", "4", "--no-time", *TASKS)
#: The commands of a campaign, in their order; `{20}` is the name of an image.
CAMPAIGN = (
    ("init", "P", "--images", "rooms/images", *PROJECT),
    ("query", "P", "--budget", "12", "--strategy", "random_images", "--unit", "images"),
    ("import", "P", "answers-1", "--accept"),
    ("fit", "P"),
    ("status", "P"),
    ("score", "P"),
    ("query", "P", "--budget", "6", "--strategy", "partal", "--dry-run"),
    ("query", "P", "--budget", "10", "--strategy", "joint"),
    ("request", "P", "{20}:depth"),
    ("skip", "P", "{20}:depth", "--why", "blurred"),
    ("export", "P"),
    ("import", "P", "answers-2", "--accept", "--dry-run"),
    ("import", "P", "answers-2", "--accept"),
    ("fit", "P"),
    ("evaluate", "P"),
    ("predict", "P", "rooms/images", "--out", "predicted"),
    ("audit", "P"),
    ("relate", "P"),
    ("advise", "P"),
    ("duplicates", "P"),
    ("verify", "P"),
    ("unlabel", "P", "{1}:depth"),
    ("undo", "P"),
    ("remove", "P", "{2}"),
    ("cells", "P"),
    ("log", "P"),
    ("task", "P", "depth"),
    ("report", "P", "--out", "report.html"),
    ("status", "P"),
    ("simulate", "study.toml", "--data", "rooms", "--out", "S", "--jobs", "1"),
    ("report", "S", "--out", "study.html"),
    ("list", "strategies"),
    ("list", "recipes"),
)
#: Commands that are killed in the middle, then resumed; those of a project before which one of
#: `CAMPAIGN` they begin, by its number.
HALVES = {
    "fit": (13, ("fit", "half/fit", "--set", "train.steps=200")),
    "query": (7, ("query", "half/query", "--budget", "10", "--strategy", "partal")),
    "audit": (16, ("audit", "half/audit", "--folds", "3")),
    "study": (
        0,
        ("simulate", "study.toml", "--data", "rooms", "--out", "half/study", "--jobs", "1"),
    ),
}
#: The share of a command's time after which it is killed.
MIDDLE = 0.7


def main(words: Sequence[str] | None = None) -> int:
    """Record, or compare; returns the number of differences, at most 1."""
    parser = argparse.ArgumentParser(prog="python -m tools.behaviour", description=__doc__)
    parser.add_argument("action", choices=["record", "compare"])
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(words)
    folder = options.folder.resolve()
    if options.action == "record":
        folder.mkdir(parents=True)
        make_inputs(folder)
        results = campaign(folder, halve)
        (folder / RECORD).write_text(json.dumps(results, indent=1, sort_keys=True))
        print(f"{len(results)} things are recorded in {folder}.")
        return 0
    recorded = json.loads((folder / RECORD).read_text())
    clear(folder)
    differences = list(differing(recorded, campaign(folder)))
    resume(folder)
    print("\n".join([*differences, f"{len(differences)} of {len(recorded)} things differ."]))
    return int(bool(differences))


def make_inputs(folder: Path) -> None:
    """Render rooms, choose the labels of two imports, and write the recipes."""
    size = ("--count", "24", "--frames", "1", "--size", "96x128", "--samples", "4")
    rooms = ("scenes", "rooms", *size)
    must(run(folder, rooms, as_json=False))
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "study.toml").write_text(STUDY)
    tasks = tomllib.loads((folder / "rooms/tasks.toml").read_text())
    names = image_names(folder)
    for answers, some in (("answers-1", names[:14]), ("answers-2", names[14:20])):
        for file in [f"{task}/{name}" for task in TASK_NAMES for name in some]:
            (folder / answers / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / "rooms/labels" / file, folder / answers / file)
    (folder / "classes.txt").write_text("\n".join(tasks["semseg"]["classes"]))


def image_names(folder: Path) -> list[str]:
    """The names of all rooms."""
    images = folder / "rooms/images"
    return sorted(str(file.relative_to(images)) for file in images.rglob("*.png"))


def clear(folder: Path) -> None:
    """Remove what a campaign made before."""
    for name in ("P", "S", "predicted"):
        shutil.rmtree(folder / name, ignore_errors=True)


def campaign(folder: Path, before: Callable[[Path, int], None] | None = None) -> dict[str, Any]:
    """Run all commands; returns what each printed, and what the files hold in the end.

    Args:
        folder: where they run.
        before: called before each command, with its number.
    """
    results: dict[str, Any] = {}
    names = image_names(folder)
    for number, command in enumerate(CAMPAIGN):
        words = [word.format(*names) for word in command]
        if before:
            before(folder, number)
        done = run(folder, words)
        name = f"{number:02d} {' '.join(words)}"
        results[name] = {"code": done.returncode, "printed": printed(folder, done)}
        print(f"{name}: {done.returncode}", flush=True)
    for root in ("P", "S"):
        for pattern in FILES:
            for file in sorted((folder / root).glob(pattern)):
                results[str(file.relative_to(folder))] = digest(file)
        for file in sorted((folder / root).rglob("last.ckpt")):
            results[str(file.relative_to(folder))] = load(file).digest
    return results


def halve(folder: Path, number: int) -> None:
    """Kill those of `HALVES` in the middle that begin before this command."""
    for name, (begins, words) in HALVES.items():
        if begins != number:
            continue
        half = folder / "half" / name
        began = time.monotonic()
        for limit in (LIMIT, MIDDLE):
            shutil.rmtree(half, ignore_errors=True)
            if (folder / "P").exists():
                shutil.copytree(folder / "P", half)
            half.parent.mkdir(exist_ok=True)
            if limit == MIDDLE:
                limit = MIDDLE * (time.monotonic() - began)
            killed = run_at_most(folder, words, limit)
        print(f"half of {name}: {'killed' if killed else 'ended before'}", flush=True)


def run_at_most(folder: Path, words: Sequence[str], seconds: float) -> bool:
    """Run a command, and kill it after some time; returns whether it was."""
    with subprocess.Popen(
        [sys.executable, "-m", "labelgrid", *words],
        cwd=folder,
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return True
    return False


def resume(folder: Path) -> None:
    """Run each of `HALVES` again on a copy of what the kill left, and print what it said."""
    kept = folder / "half-kept"
    if not kept.exists():
        shutil.copytree(folder / "half", kept)
    shutil.rmtree(folder / "half")
    shutil.copytree(kept, folder / "half")
    for name, (_, words) in HALVES.items():
        done = run(folder, words, as_json=False)
        last = (done.stdout + done.stderr).strip().splitlines()[-1:]
        print(f"resumed {name}: exit status {done.returncode}; {' '.join(last)}", flush=True)


def run(
    folder: Path, words: Sequence[str], *, as_json: bool = True
) -> "subprocess.CompletedProcess[str]":
    """Run a command in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "labelgrid", *words, *(["--json"] if as_json else [])],
        cwd=folder,
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )


def must(done: "subprocess.CompletedProcess[str]") -> None:
    """Stop unless a command succeeded."""
    if done.returncode:
        raise SystemExit(done.stderr)


def printed(folder: Path, done: "subprocess.CompletedProcess[str]") -> Any:
    """The JSON that a command printed without what varies; its error if it printed none."""
    text = done.stdout.replace(str(folder), "FOLDER")
    try:
        return steady(json.loads(text))
    except ValueError:
        return (text + done.stderr.replace(str(folder), "FOLDER"))[-2000:]


def steady(value: Any) -> Any:
    """A value of JSON without times, versions and machines."""
    if isinstance(value, Mapping):
        return {key: steady(item) for key, item in value.items() if not VARYING.match(key)}
    if isinstance(value, list):
        return [steady(item) for item in value]
    return value


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """What is another, a line each."""
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield f"{name}: is not there any more"
        elif name not in before:
            yield f"{name}: was not there before"
        elif before[name] != after[name]:
            yield f"{name}: {'; '.join(changes(before[name], after[name], ''))}"


def changes(before: Any, after: Any, path: str) -> list[str]:
    """The places at which two values differ, the first few of them."""
    if isinstance(before, dict) and isinstance(after, dict):
        lines = []
        for key in sorted(before.keys() | after.keys()):
            lines += changes(before.get(key), after.get(key), f"{path}.{key}")
        return lines[:5]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        lines = []
        for number, pair in enumerate(zip(before, after, strict=True)):
            lines += changes(*pair, f"{path}[{number}]")
        return lines[:5]
    return [] if before == after else [f"{path} {before!r:.80} -> {after!r:.80}"]


if __name__ == "__main__":
    raise SystemExit(main())
