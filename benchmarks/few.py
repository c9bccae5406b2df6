"""Measures what the recipe `few` reaches beside `small`, with few photographs of NYUv2 that have all labels.

`few` is trained once for each of its encoders whose file is given; any other file is that of
`small`'s backbone, which timm fetches else. A row an encoder and number of photographs: the metrics
on the test split, and the seconds of the training with its maps.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _made import ROWS, TINY, make_files
from _measure import add_row, check_limit, machine
from instant import Comparison, nyud_rows

from labelgrid.data.dataset import Dataset
from labelgrid.data.layouts import nyud
from labelgrid.recipes.recipe import Recipe
from labelgrid.recipes.resolve import load_recipe, override
from labelgrid.suppliers.ready_encoders import ENCODERS, KnownEncoder

#: The numbers of photographs, and the processes that read them, at most.
PHOTOGRAPHS = (30, 60, 120)
READERS = 8
#: Changes for a trial: as few steps, from random weights.
TRIAL: Mapping[str, Any] = {"train": {"steps": 2, "batch": 2}, "backbone": {"pretrained": False}}


@dataclass(frozen=True)
class Side:
    """A recipe with its weights; None: as the recipe says."""

    name: str
    recipe: Recipe
    weights: Path | None


def sides_of(options: argparse.Namespace) -> Iterator[Side]:
    """`small` first, then `few` for each of its encoders whose weights are given."""
    encoders: dict[KnownEncoder, Path] = {}
    others = []
    for path in options.weights:
        matching = [encoder for encoder in ENCODERS if encoder.is_in(path)]
        encoders.update(dict.fromkeys(matching, path))
        if not matching:
            others.append(path)
    yield Side("small", recipe_of("small", options), others[0] if others else None)
    if options.tiny:
        yield Side("few", recipe_of("few", options), None)
    for encoder, path in encoders.items():
        recipe = recipe_of("few", options, encoder.changes())
        yield Side(f"few, {encoder.name}", recipe, path)


def recipe_of(
    name: str, options: argparse.Namespace, changes: Mapping[str, Any] | None = None
) -> Recipe:
    """A recipe on the device, with images that stay in memory."""
    workers = 0 if options.tiny else min(READERS, os.cpu_count() or 1)
    train = {"device": options.device, "workers": workers, "cache": 4.0}
    changed = override(changes or {}, {"train": train})
    if options.tiny:
        changed = override(override(changed, TINY[name]), TRIAL)
    return load_recipe(name, changed)


def made_dataset(folder: Path) -> Dataset:
    """Made images with all labels, half of which are the test split."""
    source = make_files(folder, 8, (24, 32), every=1)
    (folder / "splits").mkdir()
    for split, names in (("train", source.images()[:4]), ("test", source.images()[4:])):
        (folder / "splits" / f"{split}.txt").write_text("\n".join(names))
    return source


def show(side: Side, images: int, metrics: Mapping[str, float], seconds: float) -> None:
    words = "; ".join(f"{key.partition(',')[0]} {value:.3g}" for key, value in metrics.items())
    print(f"  {images} photographs, {side.name}: {words}; {seconds:.0f} s", flush=True)
    add_row(f"`{side.name}`, {images} photographs", "reported", f"{words}; {seconds:.0f} s")


def main(words: list[str] | None = None) -> int:
    """Print a row for each side and number of photographs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, nargs="*", help="files of weights")
    parser.add_argument("--data", type=Path, help="NYUv2, layout nyud; with --tiny made images")
    parser.add_argument("--photographs", type=int, nargs="+", default=PHOTOGRAPHS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tiny", action="store_true", help="small random networks, as a trial")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    options = parser.parse_args(words)
    if not (options.data or options.tiny):
        parser.error("--data is needed: the folder of NYUv2")
    print(machine())
    holds = []
    sides = list(sides_of(options))
    with tempfile.TemporaryDirectory() as place:
        source = nyud.build(options.data) if options.data else made_dataset(Path(place, "made"))
        rows = nyud_rows() if options.data else ROWS
        for images in options.photographs:
            reached = []
            for side in sides:
                comparison = Comparison(source, rows, Path(place), side.weights, images=images)
                start = time.perf_counter()
                names = comparison.drawn(options.seed)
                network = comparison.trained(side.recipe, options.seed, names, None)
                seconds = time.perf_counter() - start
                metrics = comparison.measured(side.recipe, network)
                show(side, images, metrics, seconds)
                reached.append(next(value for key, value in metrics.items() if "mIoU" in key))
            first, *others = reached
            best = max(others, default=first)
            claim = f"{images} photographs: mIoU of `few` above that of `small`"
            holds.append(check_limit(claim, best - first, 0.0, "points", least=True))
    return 0 if all(holds) else 1


if __name__ == "__main__":
    raise SystemExit(main())
