"""Compares predicting a large photograph with decoding it, one forward pass and writing its labels; and its memory.

The network is the small recipe's with random weights and 59 classes. Its outputs are replaced by smooth random ones
with some noise, which are more like a trained network's: a few classes lead in every part of the image.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import torch
from _made import make_files, recipe
from _measure import Times, check_limit, interleaved, machine, peak_mib, run_isolated, show
from torch import Tensor
from torch.nn import functional

from labelgrid.data.folder import FolderDataset, build
from labelgrid.data.frame import Frame
from labelgrid.labels.codec import LabelArray
from labelgrid.labels.grid import TaskRow
from labelgrid.nets.backbones import Encoder
from labelgrid.recipes.resolve import build_plugin
from labelgrid.rounds.outputs import predicted, write_label
from labelgrid.tasks.task import TaskDef, build_all, definitions
from labelgrid.train.evaluate import predictions
from labelgrid.train.model import TrainedModel

#: Limits: time relative to decoding, one forward pass and writing; MiB above the start.
TIME, MEMORY = 3.0, 1024
CLASSES = 59
#: With this noise 8 classes contend in a window of the image, on average; with a trained network's outputs 2 to 4.
NOISE = 0.1


def rows(only: str) -> dict[str, TaskDef]:
    kinds = {"semseg": {"classes": [f"class {i}" for i in range(CLASSES)]}, "depth": {}, "normals": {}, "edges": {}}
    chosen = [only] if only else list(kinds)
    return definitions([TaskRow(name, name, 1.0, kinds[name]) for name in chosen])


def smooth_output(channels: int, like: Tensor) -> Tensor:
    """A smooth map with a little noise; a single channel is positive, as depths are."""
    generator = torch.Generator().manual_seed(0)
    coarse = 3 * torch.randn(1, channels, 6, 8, generator=generator)
    fine = functional.interpolate(coarse, like.shape[-2:], mode="bicubic")[0]
    noisy = fine + NOISE * torch.randn(fine.shape, generator=generator)
    return noisy.abs() + 0.1 if channels == 1 else noisy


class Bench:
    """A photograph on disk, a model, and where the label files go."""

    def __init__(self, folder: Path, source: FolderDataset, only: str) -> None:
        self.folder, self.source, self.definitions = folder, source, rows(only)
        self.tasks = build_all(self.definitions)
        torch.manual_seed(0)
        network = build_plugin("nets", recipe().network, self.tasks, partial(Encoder, recipe().backbone))
        self.model = TrainedModel(network.to(memory_format=torch.channels_last).eval())
        self.labels: dict[str, LabelArray] = {}

    def outputs(self) -> Iterator[tuple[Mapping[str, Tensor], Frame]]:
        """Decode and run the network; then smooth outputs in place of random ones."""
        names = self.source.images()
        for _, raws, frame in predictions(self.model, self.definitions, self.source, names, recipe().data):
            yield {name: smooth_output(raw.shape[0], raw) for name, raw in raws.items()}, frame

    def predict(self) -> None:
        """What `labelgrid predict` does with every image."""
        for raws, frame in self.outputs():
            for name, raw in raws.items():
                write_label(self.tasks[name], self.definitions[name], raw, frame, self.folder / f"{name}.png")

    def decode_and_forward(self) -> None:
        """Only decode and run the network."""
        for _ in self.outputs():
            pass

    def write(self) -> None:
        """Write labels that are already computed."""
        for name, label in self.labels.items():
            self.definitions[name].write(self.folder / f"{name}.png", label)

    def keep_labels(self) -> None:
        """Compute the labels for `write`."""
        for raws, frame in self.outputs():
            for name, task in self.tasks.items():
                self.labels[name] = predicted(task, self.definitions[name], raws[name], frame)


def compare(bench: Bench, repeats: int) -> bool:
    """Print the times of one photograph; return whether the limit is met."""
    bench.keep_labels()
    sides = {"predict": bench.predict, "decode and forward": bench.decode_and_forward, "write": bench.write}
    times = interleaved(sides, repeats)
    show(times)
    whole, first, last = times.values()
    base = Times(
        [a + b for a, b in zip(first.wall, last.wall, strict=True)],
        [a + b for a, b in zip(first.processor, last.processor, strict=True)],
    )
    print(f"  (processor: {whole.work_over(base):.3g} x)")
    return check_limit("predicting / (decoding + one forward pass + writing)", whole.over(base), TIME)


def memory(folder: Path) -> None:
    """Print the MiB that predicting the photograph adds to a process that has predicted a small image."""
    Bench(folder, make_files(folder / "small", 1, (96, 128), labels=False), "").predict()
    start = peak_mib()
    Bench(folder, build(folder / "photo"), "").predict()
    print(json.dumps(peak_mib() - start))


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, nargs=2, default=(4000, 6000), help="height and width of the photograph")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    if options.memory:
        memory(options.memory)
        return 0
    print(machine())
    kept = True
    with tempfile.TemporaryDirectory() as name:
        source = make_files(Path(name, "photo"), 1, tuple(options.size), labels=False)
        for only in ("semseg", ""):
            print(f"{options.size[0]}x{options.size[1]}, {only or 'semseg, depth, normals and edges'}")
            kept &= compare(Bench(Path(name), source, only), options.repeats)
        added = run_isolated(__file__, "--memory", name)
    return 0 if check_limit("predicting the photograph adds", added, MEMORY, "MiB") and kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
