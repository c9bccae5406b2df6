"""Work over job folders for `worker_deaths.py`: each shard of a pool becomes one file of scores."""

import argparse
import os
import time
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from labelgrid.executors.placement import executor_at
from labelgrid.executors.spread import Piece, PieceList
from labelgrid.files import atomic_write
from labelgrid.processes import set_threads
from labelgrid.progress import Progress, Silent

IMAGES, PER_SHARD = 2048, 128
#: Seconds that a shard takes at least, so that kills hit shards at work.
SECONDS = 2.0


def image_name(number: int) -> str:
    return f"{number:05d}.png"


def make_pool(folder: Path) -> None:
    """Write the images of the pool."""
    folder.mkdir()
    draws = np.random.default_rng(0)
    for number in range(IMAGES):
        pixels = draws.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / image_name(number)), pixels)


@cache
def network():  # type: ignore[no-untyped-def]
    """A network with fixed weights, loaded once in each worker."""
    import timm
    import torch

    torch.manual_seed(7)
    return timm.create_model("mobilenetv2_050", pretrained=False, num_classes=16).eval()


def score_shard(pool: Path, out: Path, shard: int, progress: Progress) -> None:
    """Write the entropies of a shard's images, as a file that is there whole or not at all."""
    import torch

    set_threads(1)
    begin = time.monotonic()
    numbers = range(shard * PER_SHARD, (shard + 1) * PER_SHARD)
    progress.start("Scoring", len(numbers), "images")
    rows = []
    for number in numbers:
        pixels = cv2.imread(str(pool / image_name(number)))
        with torch.inference_mode():
            batch = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
            shares = network()(batch).softmax(1)
        rows.append(float(-(shares * shares.log()).sum()))
        progress.advance()
        time.sleep(SECONDS / PER_SHARD)
    with (
        atomic_write(out / f"{shard:03d}.npy", durable=True) as temporary,
        temporary.open("wb") as file,
    ):
        np.save(file, np.array(rows))
    note_made(out, shard, time.monotonic() - begin)


def note_made(out: Path, shard: int, seconds: float) -> None:
    """Note that a shard was made, so that those made twice can be counted."""
    handle = os.open(out / "made.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(handle, f"{shard} {os.getpid()} {seconds:.2f}\n".encode())
    os.close(handle)


def piece_of(shard: int, pool: Path, out: Path) -> Piece:
    """The work on a shard."""
    return Piece(
        name=f"shard {shard}",
        amount=PER_SHARD,
        function=score_shard,
        arguments=lambda: (pool, out, shard),
        is_done=(out / f"{shard:03d}.npy").exists,
    )


class Lines(Silent):
    """Prints what a progress says."""

    def say(self, text: str) -> None:
        """As `Progress.say`."""
        print(text, flush=True)


def main() -> None:
    """Do what is left of all shards in some place."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("pool", type=Path)
    options.add_argument("out", type=Path)
    options.add_argument("--on", default="processes")
    options.add_argument("--workers", type=int, default=2)
    chosen = options.parse_args()
    pieces = [piece_of(shard, chosen.pool, chosen.out) for shard in range(IMAGES // PER_SHARD)]
    executor = executor_at(chosen.on, chosen.workers, "timm")
    progress = Lines()
    PieceList(pieces=pieces, executor=executor, folder=chosen.out / "jobs", progress=progress).run()
