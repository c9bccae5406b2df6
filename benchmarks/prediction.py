"""Compares predicting a large photograph with decoding it, one forward pass and writing its labels.

And its memory.

The network is the small recipe's with random weights and 59 classes. Its outputs are replaced: by
smooth random ones with some noise, in which a few classes lead in every part of the image, as in a
trained network's; and by unrelated random numbers, in which no class leads anywhere, the worst
case. With `--project` the network is a project's trained one, its outputs are its own, and the
photograph is one of the project's images enlarged.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import torch
from _made import make_files, recipe
from _measure import Times, check_limit, interleaved, machine, peak_mib, run_isolated, show
from torch import Tensor
from torch.nn import functional

from labelgrid.data.frame import Frame
from labelgrid.data.layouts.folder import FolderDataset, build
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import TaskRow
from labelgrid.nets.backbones import Encoder
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.recipe import Recipe
from labelgrid.recipes.resolve import build_plugin
from labelgrid.rounds.models import model_of, restore
from labelgrid.rounds.outputs import predicted_label, write_label
from labelgrid.tasks.task import TaskDef, build_all, definitions
from labelgrid.train.evaluation import predictions
from labelgrid.train.trained_model import TrainedModel

#: Limits: time relative to decoding, one forward pass and writing; MiB above the start.
TIME = 3.0
MEMORY = 1024
CLASSES = 59
#: With this noise 8 classes contend in a square of 256 pixels, on average; with a trained network's
#: outputs 2 to 4.
NOISE = 0.1
#: Raw outputs of a task -> those that replace them.
Replace = Callable[[Tensor], Tensor]


def rows(only: str) -> dict[str, TaskDef]:
    kinds = {
        "semseg": {"classes": [f"class {i}" for i in range(CLASSES)]},
        "depth": {},
        "normals": {},
        "edges": {},
    }
    chosen = [only] if only else list(kinds)
    return definitions([TaskRow(name, name, 1.0, kinds[name]) for name in chosen])


def smooth(like: Tensor) -> Tensor:
    """A smooth map with a little noise; a single channel is positive, as depths are."""
    generator = torch.Generator().manual_seed(0)
    channels = len(like)
    coarse = 3 * torch.randn(1, channels, 6, 8, generator=generator)
    fine = functional.interpolate(coarse, like.shape[-2:], mode="bicubic")[0]
    noisy = fine + NOISE * torch.randn(fine.shape, generator=generator)
    return noisy.abs() + 0.1 if channels == 1 else noisy


def unrelated(like: Tensor) -> Tensor:
    """Unrelated random numbers."""
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(0)).abs() + 0.1


def unchanged(like: Tensor) -> Tensor:
    return like


@dataclass
class Bench:
    """A photograph on disk, a model, what replaces its outputs, and where the label files go."""

    folder: Path
    source: FolderDataset
    definitions: dict[str, TaskDef]
    model: TrainedModel
    recipe: Recipe
    replace: Replace
    labels: dict[str, LabelArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tasks = build_all(self.definitions)

    @classmethod
    def made(
        cls, folder: Path, source: FolderDataset, only: str, replace: Replace = smooth
    ) -> "Bench":
        """With a random network for all tasks or `only` one."""
        torch.manual_seed(0)
        defined = rows(only)
        used = recipe()
        network = build_plugin(
            "networks", used.network, build_all(defined), partial(Encoder, used.backbone)
        )
        model = TrainedModel(network=network.to(memory_format=torch.channels_last).eval())
        return cls(folder, source, defined, model, used, replace)

    @classmethod
    def trained(cls, folder: Path, project: ProjectFolder, size: tuple[int, int]) -> "Bench":
        """With a project's trained network, and its first image enlarged."""
        context, model = restore(project, model_of(project))
        pixels = cv2.resize(
            context.source.image(context.source.images()[0]),
            size[::-1],
            interpolation=cv2.INTER_CUBIC,
        )
        (folder / "images").mkdir(parents=True)
        cv2.imwrite(str(folder / "images" / "photo.jpg"), pixels[..., ::-1])
        return cls(folder, build(folder), context.definitions, model, context.recipe, unchanged)

    def outputs(self) -> Iterator[tuple[Mapping[str, Tensor], Frame]]:
        """Decode and run the network; replace its outputs."""
        names = self.source.images()
        for _, raws, frame in predictions(
            self.model, self.definitions, source=self.source, image_ids=names, data=self.recipe.data
        ):
            yield {name: self.replace(raw) for name, raw in raws.items()}, frame

    def predict(self) -> None:
        """What `labelgrid predict` does with every image."""
        for raws, frame in self.outputs():
            for name, raw in raws.items():
                write_label(
                    self.tasks[name],
                    self.definitions[name],
                    raw=raw,
                    frame=frame,
                    path=self.folder / f"{name}.png",
                )

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
                self.labels[name] = predicted_label(task, self.definitions[name], raws[name], frame)


def compare(bench: Bench, repeats: int) -> bool:
    """Print the times of one photograph; return whether the limit is met."""
    bench.keep_labels()
    sides = {
        "predict": bench.predict,
        "decode and forward": bench.decode_and_forward,
        "write": bench.write,
    }
    times = interleaved(sides, repeats)
    show(times)
    whole, first, last = times.values()
    base = Times(
        [a + b for a, b in zip(first.wall, last.wall, strict=True)],
        [a + b for a, b in zip(first.processor, last.processor, strict=True)],
    )
    print(f"  (processor: {whole.work_over(base):.3g} x)")
    return check_limit(
        "predicting / (decoding + one forward pass + writing)", whole.over(base), TIME
    )


def memory(folder: Path) -> None:
    """Print the MiB that predicting the photograph adds to a process that has predicted a small image."""
    Bench.made(folder, make_files(folder / "small", 1, (96, 128), every=0), "").predict()
    start = peak_mib()
    for replace in (smooth, unrelated):
        Bench.made(folder, build(folder / "photo"), "", replace).predict()
    print(json.dumps(peak_mib() - start))


def measured(folder: Path, size: tuple[int, int], project: Path | None, repeats: int) -> bool:
    """Print the times with all networks and outputs; return whether the limit is met by all."""
    name = f"{size[0]}x{size[1]}"
    if project is not None:
        bench = Bench.trained(folder / "trained", ProjectFolder.open(project), size)
        tasks = ", ".join(
            f"{task.name} ({task.channels} channels)" for task in bench.tasks.values()
        )
        print(f"{name}, trained network: {tasks}")
        return compare(bench, repeats)
    source = make_files(folder / "photo", 1, size, every=0)
    kept = True
    for only, replace in (
        ("semseg", smooth),
        ("semseg", unrelated),
        ("edges", smooth),
        ("", smooth),
    ):
        print(f"{name}, {only or 'semseg, depth, normals and edges'}, {replace.__name__} outputs")
        kept &= compare(Bench.made(folder, source, only, replace), repeats)
    added = run_isolated(__file__, "--memory", folder)
    return check_limit("predicting the photograph adds", added, MEMORY, "MiB") and kept


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--size", type=int, nargs=2, default=(4000, 6000), help="height and width of the photograph"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--project", type=Path, help="a project with a trained model, to be measured instead"
    )
    parser.add_argument("--memory", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    if options.memory:
        memory(options.memory)
        return 0
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        return (
            0 if measured(Path(name), tuple(options.size), options.project, options.repeats) else 1
        )


if __name__ == "__main__":
    raise SystemExit(main())
