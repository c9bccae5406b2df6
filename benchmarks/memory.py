"""Measures the memory of scoring over the number of passes, the size of the pool and the size of an image.

Each figure is the peak of a process that only scores a pool with MC-dropout at the images' original
size. A first version would keep D samples of every pixel; their size is printed for comparison.
"""

import argparse
import json
import tempfile
from pathlib import Path

from _measure import check_limit, machine, peak_mib, run_isolated

#: Limits: the peak with more passes or images relative to the peak with few; the MiB that a large
#: image may add.
FLAT = 1.1
LARGE = 512
CLASSES = 40


def score(folder: Path, images: int, passes: int, at: str) -> None:
    """Score the first images of a folder."""
    import torch
    from _made import network_of, recipe, task_definitions

    from labelgrid.basics.progress import Silent
    from labelgrid.data.layouts.folder import build
    from labelgrid.score.pool import ScoringJob, gather
    from labelgrid.score.statistics.dropout import Dropout, Options
    from labelgrid.tasks.task import build_all
    from labelgrid.train.trained_model import TrainedModel

    torch.set_num_threads(1)
    source = build(folder)
    tasks = build_all(task_definitions())
    statistic = Dropout(Options(passes=passes, at=at), 0)
    model = TrainedModel(network=network_of(tasks))
    data = recipe().data
    job = ScoringJob(
        model=model,
        tasks=tasks,
        definitions=task_definitions(),
        source=source,
        data=data,
        statistics={"dropout": statistic},
        stamp={},
    )
    with tempfile.TemporaryDirectory() as out:
        gather(job, source.images()[:images], Path(out), Silent())
    print(json.dumps(peak_mib()))


def make(folder: Path, images: int, size: tuple[int, int]) -> None:
    """Make a folder of eight files, and of links to them for larger pools."""
    from _made import make_files

    made = make_files(folder, min(images, 8), size)
    for number in range(8, images):
        (folder / "images" / f"{number:06d}.jpg").symlink_to(made.images()[number % 8])


def peak(folder: Path, images: int, passes: int, at: str = "original") -> float:
    peak_memory: float = run_isolated(
        __file__, "--score", folder, "--images", images, "--passes", passes, "--at", at
    )
    return peak_memory


def naive_mib(size: tuple[int, int], passes: int) -> float:
    """The size of D float32 samples of the class map of one image, in MiB."""
    return passes * CLASSES * size[0] * size[1] * 4 / 2**20


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passes", type=int, nargs="*", default=[10, 40])
    parser.add_argument("--images", type=int, nargs="*", default=[100, 1000])
    parser.add_argument(
        "--size", type=int, nargs=2, default=[240, 320], help="height and width of most files"
    )
    parser.add_argument(
        "--large", type=int, nargs=2, default=[3000, 4000], help="of the large file"
    )
    parser.add_argument("--at", default="original", help=argparse.SUPPRESS)
    parser.add_argument("--score", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.score:
        score(options.score, options.images[0], options.passes[0], options.at)
        return 0
    print(machine())
    size = tuple(options.size)
    large = tuple(options.large)
    with tempfile.TemporaryDirectory() as name:
        folders = {"pool": Path(name, "pool"), "large": Path(name, "large")}
        make(folders["pool"], max(options.images), size)
        make(folders["large"], 1, large)
        by_passes = [peak(folders["pool"], 8, passes) for passes in options.passes]
        for passes, used in zip(options.passes, by_passes, strict=True):
            samples = 8 * naive_mib(size, passes)
            print(
                f"  D = {passes:3}, {size[0]}x{size[1]}: {used:6.0f} MiB (samples of 8 images: {samples:6.0f} MiB)"
            )
        by_images = [peak(folders["pool"], images, 2, "head") for images in options.images]
        for images, used in zip(options.images, by_images, strict=True):
            print(f"  {images:6} images: {used:6.0f} MiB")
        largest = peak(folders["large"], 1, 2)
        samples = naive_mib(large, 2)
        print(
            f"  one image of {large[0]}x{large[1]}, D = 2: {largest:6.0f} MiB (its samples: {samples:6.0f} MiB)"
        )
    kept = check_limit(
        "peak with the most passes / with the fewest", by_passes[-1] / by_passes[0], FLAT
    )
    kept &= check_limit(
        "peak with the largest pool / with the smallest", by_images[-1] / by_images[0], FLAT
    )
    return (
        0 if check_limit("a large image adds", largest - by_passes[0], LARGE, "MiB") and kept else 1
    )


if __name__ == "__main__":
    raise SystemExit(main())
