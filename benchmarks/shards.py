"""Measures how much faster two workers score a pool in shards than one does, with the same scores bit for bit.

The pool is scored by the pooled features of a network with random weights, from files: start of the
processes, restoring, scoring and joining are all in the time. Each worker has one thread.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from _made import make_files
from _measure import check_limit, machine

from labelgrid import Project
from labelgrid.score.table import FILE

#: One worker takes so many times as long as two, at least, on two cores that nothing else uses.
BAR = 1.5
STRATEGY = "typiclust"
#: Name of a measurement -> its workers; 0 scores in this process.
SIDES = {"in this process": 0, "one worker": 1, "two workers": 2}


def score(folder: Path, workers: int, shard: int) -> tuple[float, bytes]:
    """The seconds of a scoring from nothing, and its file."""
    with Project.open(folder) as project:
        start = time.perf_counter()
        project.score(STRATEGY, workers=workers, shard=shard)
        seconds = time.perf_counter() - start
    (path,) = folder.glob(f"rounds/*/scores/{FILE}")
    content = path.read_bytes()
    shutil.rmtree(path.parent)
    return seconds, content


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--size", type=int, nargs=2, default=(240, 320))
    parser.add_argument("--shard", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    print(machine())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "flat"
        make_files(Path(temporary), options.images, tuple(options.size), every=0)
        changes = {"backbone": {"pretrained": False}}
        images = [Path(temporary) / "images"]
        with Project.create(folder, images, ["depth"], changes=changes, strategy=STRATEGY):
            pass
        score(folder, 2, options.shard)  # starts the server of processes
        times: dict[str, list[float]] = {name: [] for name in SIDES}
        contents = set[bytes]()
        for _ in range(options.repeats):
            for name, workers in SIDES.items():
                seconds, content = score(folder, workers, options.shard)
                times[name].append(seconds)
                contents.add(content)
    for name, seconds in times.items():
        print(f"  {name:16} {median(seconds):7.2f} s for {options.images} images")
    assert len(contents) == 1, "the scores differ"
    _, one, two = times.values()
    ratio = median(a / b for a, b in zip(one, two, strict=True))
    return 0 if check_limit("one worker / two workers", ratio, BAR, least=True) else 1


if __name__ == "__main__":
    sys.exit(main())
