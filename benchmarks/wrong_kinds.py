"""Finds out which kinds of valid but wrong labels an import stops, and whether it stops right ones.

Each kind is planted in batches of labels of one task: of NYUv2 frames, of rendered rooms, and of
photographs with classes. A batch is imported as the first of a project, and after labels of 20
other images. Edges and saliency of the photographs follow from their classes.
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
from _measure import check_limit
from plausibility import Frames, nyuv2, rendered, scenes

from labelgrid.annotate.answers import Answer
from labelgrid.basics.errors import LabelError
from labelgrid.basics.files import digest
from labelgrid.basics.progress import Silent
from labelgrid.evidence import batch_doubts
from labelgrid.evidence.batch_doubts import BatchDoubts, Summaries
from labelgrid.evidence.edge_evidence import EdgeEvidence
from labelgrid.evidence.known_labels import KnownLabels
from labelgrid.evidence.label_summary import label_summary, thin_label
from labelgrid.imports.import_doubts import DoubtedImport, refuse_doubted
from labelgrid.imports.import_labels import import_labels
from labelgrid.imports.validate_labels import AcceptedLabel
from labelgrid.ledger.grid import Cell, TaskRow
from labelgrid.ledger.store import CellRow
from labelgrid.operations import create
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.settings import Settings
from labelgrid.tasks.figures import LabelFigure
from labelgrid.tasks.overview import Overview
from labelgrid.tasks.task import TaskDef

Array = np.ndarray[Any, Any]
#: A right label -> a wrong one.
Change = Callable[[Array], Array]
#: The images with labels before a batch.
EARLIER = 20
WAYS = ("first", "after 20")
RIGHT = "right"
#: The batches after the same 20 images.
BATCHES = 10
#: The share of the draws in which a found kind is stopped, and the bars on the kinds that are not.
FOUND = 0.9
SILENT = {"first": 8, "after 20": 2}
#: The size to which "8 pixels" refer: the longer side.
LONGER = 320
#: Metres for a step of the depth files, and the tangents of half of the angles of view, across.
STEP = 0.001
HALF_VIEW = float(np.tan(np.radians(63 / 2)))
NONE = 255


def moved(steps: int) -> Callable[[Array], Array]:
    """Move a label to the right; its first column fills what it leaves."""

    def change(label: Array) -> Array:
        pixels = round(steps * max(label.shape[:2]) / LONGER)
        return np.concatenate([label[:, :1].repeat(pixels, axis=1), label[:, :-pixels]], axis=1)

    return change


def letterboxed(label: Array) -> Array:
    """A label of 4:3 between black bars at the left and right of 16:9, at the old size."""
    height, width = label.shape[:2]
    inner = round(width * 0.75)
    small = cv2.resize(label, (inner, height), interpolation=cv2.INTER_NEAREST)
    framed = np.zeros_like(label)
    left = (width - inner) // 2
    framed[:, left : left + inner] = small
    return framed


def cropped(label: Array) -> Array:
    height, width = label.shape[:2]
    inside = label[height // 6 : height - height // 6, width // 6 : width - width // 6]
    return cv2.resize(inside, (width, height), interpolation=cv2.INTER_NEAREST)


def smoothed(label: Array) -> Array:
    height, width = label.shape[:2]
    half = cv2.resize(label, (width // 2, height // 2), interpolation=cv2.INTER_LINEAR)
    return cv2.resize(half, (width, height), interpolation=cv2.INTER_LINEAR)


def depth(change: Callable[[Array], Array]) -> Change:
    """Change metres; what is not measured stays 0."""

    def changed(label: Array) -> Array:
        metres = label * STEP
        with np.errstate(divide="ignore", invalid="ignore"):
            new = np.where(label > 0, change(metres), 0) / STEP
        return np.rint(new).clip(0, 65535).astype(np.uint16)

    return changed


def along_ray(metres: Array) -> Array:
    height, width = metres.shape
    rows, columns = np.indices(metres.shape)
    x = (columns - (width - 1) / 2) / (width / 2) * HALF_VIEW
    y = (rows - (height - 1) / 2) / (width / 2) * HALF_VIEW
    return metres * np.sqrt(1 + x**2 + y**2)


def channels(change: Callable[[Array, Array, Array], Sequence[Array]]) -> Change:
    """Change x, y and z, from 0 to 1, of normals as OpenCV reads them: z, y, x; black stays."""

    def changed(label: Array) -> Array:
        largest = np.iinfo(label.dtype).max
        z, y, x = np.moveaxis(label / largest, -1, 0)
        new = np.rint(np.stack(change(x, y, z)[::-1], axis=-1) * largest)
        return np.where(label.any(-1, keepdims=True), new, label).astype(label.dtype)

    return changed


def renamed(table: Callable[[Array, int], Array], classes: int) -> Change:
    """Rename classes; what is not labelled stays, and so does what has no name then."""
    codes = np.arange(256)
    new = codes.copy()
    new[:classes] = table(codes[:classes], classes)
    return lambda label: new[label].astype(np.uint8)


def counted_from_one(label: Array, classes: int) -> Array:
    """Classes from 1, and 0 for what is not labelled, if anything is."""
    if not (label == NONE).any():
        return label
    return np.where(label == NONE, 0, np.minimum(label + 1, classes - 1)).astype(np.uint8)


def dilated(label: Array) -> Array:
    side = round(7 * max(label.shape[:2]) / LONGER)
    return cv2.dilate(label, np.ones((side, side), np.uint8))


@dataclass(frozen=True)
class Kind:
    """A way to be wrong.

    Args:
        tasks: those whose labels can be so.
        change: makes a right label wrong.
        others: whose labels images get instead of theirs, from their names; None: their own.
    """

    tasks: Sequence[str]
    change: Change
    others: Callable[[Sequence[str]], Sequence[str]] | None = None


def kinds_of(classes: int) -> dict[str, Kind]:
    """All kinds, for labels of so many classes."""
    every = ("semseg", "depth", "normals", "edges", "saliency")
    return {
        "shifted by 8 pixels": Kind(every, moved(8)),
        "disparity as depth": Kind(("depth",), depth(lambda metres: 1 / metres)),
        "depth along the ray": Kind(("depth",), depth(along_ray)),
        "depth clipped at 2.55 m": Kind(("depth",), depth(lambda m: np.minimum(m, 2.55))),
        "normals: x and y exchanged": Kind(("normals",), channels(lambda x, y, z: (y, x, z))),
        "letterboxed": Kind(every, letterboxed),
        "classes + 1": Kind(("semseg",), renamed(lambda c, n: np.minimum(c + 1, n - 1), classes)),
        "classes reversed": Kind(("semseg",), renamed(lambda c, n: n - 1 - c, classes)),
        "one class everywhere": Kind(("semseg",), lambda label: np.full_like(label, 1)),
        "depth in centimetres": Kind(("depth",), depth(lambda metres: metres / 10)),
        "depth in inches": Kind(("depth",), depth(lambda metres: metres / 25.4)),
        "depth times 5": Kind(("depth",), lambda label: np.minimum(label, 13107) * 5),
        "depth, bytes swapped": Kind(("depth",), lambda label: label.byteswap()),
        "depth, 3 bits to the left": Kind(("depth",), lambda label: label << 3),
        "normals: y down": Kind(("normals",), channels(lambda x, y, z: (x, 1 - y, z))),
        "normals: x left": Kind(("normals",), channels(lambda x, y, z: (1 - x, y, z))),
        "normals: constant": Kind(
            ("normals",), channels(lambda x, y, z: (x * 0 + 0.5, x * 0 + 0.5, x * 0 + 1))
        ),
        "edges dilated by 7 pixels": Kind(("edges",), dilated),
        "edges empty": Kind(("edges",), np.zeros_like),
        "upside down": Kind(every, lambda label: label[::-1]),
        "of the next image": Kind(every, np.asarray, lambda names: [*names[1:], names[0]]),
        "mirrored": Kind(every, lambda label: label[:, ::-1]),
        "rotated by 180°": Kind(every, lambda label: label[::-1, ::-1]),
        "shifted by 40 pixels": Kind(every, moved(40)),
        "cropped": Kind(every, cropped),
        "classes resized smoothly": Kind(("semseg",), smoothed),
        "unlabelled as 0": Kind(("semseg",), lambda label: counted_from_one(label, classes)),
        "depth constant": Kind(("depth",), lambda label: np.full_like(label, 2000)),
        "normals in another order": Kind(("normals",), channels(lambda x, y, z: (z, y, x))),
        "normals mirrored in 3D": Kind(
            ("normals",), channels(lambda x, y, z: (1 - x, 1 - y, 1 - z))
        ),
        "edges inverted": Kind(("edges",), lambda label: 255 - label),
        "one file for all": Kind(every, np.asarray, lambda names: [names[0]] * len(names)),
    }


@dataclass(frozen=True)
class Photographs(Frames):
    """Photographs with classes from 0, the background; their other tasks follow."""

    def pixels(self, task: str, name: str) -> Array:
        """As of `Frames`."""
        label = super().pixels("classes", name)
        if task == "edges":
            wide = cv2.dilate(label, np.ones((2, 2), np.uint8))
            return ((wide != cv2.erode(label, np.ones((2, 2), np.uint8))) * 255).astype(np.uint8)
        return ((label > 0) * 255).astype(np.uint8) if task == "saliency" else label


def photographs(root: Path) -> Photographs:
    """A folder with images/*.jpg, semseg/*.png and classes.txt, one name a line."""
    listed = (root / "classes.txt").read_text().splitlines()
    names = tuple(path.name for path in sorted((root / "images").glob("*.jpg")))
    return Photographs(
        root / "images",
        dict.fromkeys(("semseg", "edges", "saliency", "classes"), root / "semseg"),
        (
            TaskRow("semseg", "semseg", 1.0, {"classes": listed}),
            TaskRow("edges", "edges", 1.0),
            TaskRow("saliency", "saliency", 1.0),
        ),
        names,
    )


@dataclass(frozen=True)
class Known:
    """A label of the pool: its file, why it cannot be read, and what an import compares of it."""

    path: Path
    digest: str
    fault: str
    summary: Any
    figures: Mapping[str, LabelFigure]

    def accepted(self, row: CellRow) -> AcceptedLabel:
        """The label as that of a cell."""
        return AcceptedLabel(
            answer=Answer(cell=row.cell, where=str(self.path), label=self.path),
            row=row,
            digest=self.digest,
            suffix=".png",
            size=(0, 0),
            status="new",
        )


@dataclass
class Draw:
    """Images of a batch, others before it, and projects without and with the labels of these."""

    pool: "Pool"
    names: Sequence[str]
    earlier: Sequence[str]
    folder: Path
    projects: dict[str, ProjectFolder] = field(default_factory=dict)

    def __enter__(self) -> "Draw":
        frames = self.pool.frames
        for way in WAYS:
            self.projects[way] = create.create(
                self.folder / way,
                [self.pool.images],
                tasks=list(frames.tasks),
                settings=Settings(),
                progress=Silent(),
                check="none",
            ).__enter__()
        right = self.folder / "earlier"
        for task in self.pool.tasks:
            for name in self.earlier:
                path = (right / task / name).with_suffix(".png")
                path.parent.mkdir(parents=True, exist_ok=True)
                os.link(self.pool.file(RIGHT, task, name), path)
        import_labels(self.projects["after 20"], right, accept=True)
        return self

    def __exit__(self, *_: object) -> None:
        for project in self.projects.values():
            project.__exit__(None, None, None)

    def outcome(self, kind: str, tasks: Sequence[str]) -> dict[str, str]:
        """Why an import of labels of some tasks would be stopped, by way; "" if it would not."""
        others = self.pool.kinds[kind].others
        shown = others(self.names) if others else self.names
        labels: dict[Cell, Known] = {}
        for task in tasks:
            for name, other in zip(self.names, shown, strict=True):
                labels[Cell(name, task)] = self.pool.known(kind, task, other)
        said = [label.fault for label in labels.values() if label.fault]
        said += [text for task in tasks for text in self.pool.overview(kind, task).doubts()]
        if said:
            return dict.fromkeys(WAYS, said[0])
        return {way: _stopped(self.projects[way], labels) for way in WAYS}


def _stopped(project: ProjectFolder, labels: Mapping[Cell, Known]) -> str:
    """Why an import of labels would be stopped; "" if it would not."""
    summaries = Summaries(project.tasks(), labels)
    rows = project.store.find(labels)
    accepted = []
    for cell, label in labels.items():
        summaries.odd.add(cell, label.figures)
        if cell in summaries.sample:
            summaries.made[cell] = label.summary
        accepted.append(label.accepted(rows[cell]))
    try:
        refuse_doubted(project, accepted, "", Silent(), summaries=summaries)
    except DoubtedImport as refused:
        return "; ".join(str(row) for row in refused.rows)
    return ""


@dataclass
class Pool:
    """Some images of a set, with files of their right and wrong labels, each made once."""

    frames: Frames
    names: Sequence[str]
    folder: Path
    read: dict[tuple[str, str, str], Known] = field(default_factory=dict)
    overviews: dict[tuple[str, str], Overview] = field(default_factory=dict)

    @cached_property
    def images(self) -> Path:
        """A folder of the images."""
        for name in self.names:
            path = self.folder / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.frames.images / name, path)
        return self.folder / "images"

    @cached_property
    def definitions(self) -> dict[str, TaskDef]:
        """The tasks by name."""
        return {row.name: TaskDef.of(row) for row in self.frames.tasks}

    @property
    def tasks(self) -> list[str]:
        """The names of the tasks."""
        return [row.name for row in self.frames.tasks]

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """The kinds of this set, and right labels."""
        semseg = next(row for row in self.frames.tasks if row.name == "semseg")
        return {RIGHT: Kind(self.tasks, np.asarray), **kinds_of(len(semseg.options["classes"]))}

    def changes(self, kind: str, task: str) -> bool:
        """Whether a kind of fault changes any label."""
        same = all(
            np.array_equal(self.kinds[kind].change(label), label)
            for label in (self.frames.pixels(task, name) for name in self.names[:5])
        )
        return bool(self.kinds[kind].others) or not same

    def file(self, kind: str, task: str, name: str) -> Path:
        """The file of a label, made once."""
        path = (self.folder / kind / task / name).with_suffix(".png")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            label = self.kinds[kind].change(self.frames.pixels(task, name))
            cv2.imwrite(str(path), label, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        return path

    def known(self, kind: str, task: str, name: str) -> Known:
        """What is known of a label, read once."""
        key = (kind, task, name)
        if key not in self.read:
            path = self.file(*key)
            definition = self.definitions[task]
            try:
                label = definition.read(path)
            except LabelError as error:
                self.read[key] = Known(path, "", str(error), None, {})
            else:
                summary = label_summary(definition, label)
                figures = definition.figures(thin_label(label)) if label.valid.any() else {}
                self.read[key] = Known(path, digest(path), "", summary, figures)
        return self.read[key]

    def overview(self, kind: str, task: str) -> Overview:
        """What an import prints of 20 labels, and doubts by itself."""
        if (kind, task) not in self.overviews:
            overview = self.definitions[task].overview()
            for name in self.names[:20]:
                with suppress(LabelError):
                    overview.add(name, self.definitions[task].read(self.file(kind, task, name)))
            self.overviews[kind, task] = overview
        return self.overviews[kind, task]

    def draws(self, count: int, size: int, *, runs: bool = False) -> Iterator[Draw]:
        """Batches of some images, and others before; with `runs`, every other one of neighbours."""
        for first in range(0, count, BATCHES):
            rng = np.random.default_rng([first, size])
            order = rng.permutation(len(self.names))
            earlier = [self.names[index] for index in sorted(order[:EARLIER])]
            others = [self.names[index] for index in sorted(order[EARLIER:])]
            with (
                tempfile.TemporaryDirectory(dir=self.folder) as folder,
                Draw(self, [], earlier, Path(folder)) as draw,
            ):
                for number in range(first, min(first + BATCHES, count)):
                    start = int(rng.integers(len(others) - size + 1))
                    draw.names = others[start : start + size]
                    if number % 2 or not runs:
                        draw.names = sorted(rng.choice(others, size, replace=False).tolist())
                    yield draw


@contextmanager
def pool_of(frames: Frames, size: int) -> Iterator[Pool]:
    """Some images of a set; what is computed of images and earlier labels is computed once."""
    step = max(1, len(frames.names) // size)
    names = frames.names[::step][:size]
    edges: dict[str, Any] = {}
    summaries: dict[str, Any] = {}
    doubts: dict[Any, Any] = {}
    summary_of = BatchDoubts.summary

    class SharedEdges(EdgeEvidence):
        """The edges of images are shared; what they say of labels is kept."""

        def __init__(self, known: KnownLabels) -> None:
            super().__init__(known)
            self._edges = edges

        def doubts(self, task: str, outlines: Any, images: Sequence[str]) -> Any:
            """As of the other; `doubts` is cleared between batches."""
            key = (task, *(id(outline) for outline in outlines.values()))
            if key not in doubts:
                doubts.clear()
                doubts[key] = super().doubts(task, outlines, images)
            return doubts[key]

    def summary(self: Any, cell: Cell) -> Any:
        row = self.known.row(cell)
        if cell in self.digests or row is None or not row.digest:
            return summary_of(self, cell)
        if row.digest not in summaries:
            summaries[row.digest] = summary_of(self, cell)
        return summaries[row.digest]

    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(batch_doubts, "EdgeEvidence", SharedEdges),
        patch.object(BatchDoubts, "summary", summary),
    ):
        yield Pool(frames, names, Path(folder))


Rates = dict[tuple[str, str, str], list[bool]]


def measure(pool: Pool, options: argparse.Namespace) -> Rates:
    """By kind, task and way: whether each draw was stopped. Prints what is said of the first."""
    rates: Rates = {}
    used = []
    for name, kind in pool.kinds.items():
        for task in kind.tasks:
            if name != RIGHT and re.search(options.only, name) and task in pool.tasks:
                used += [(name, task)] if pool.changes(name, task) else []
    with suppress(KeyboardInterrupt):  # what was drawn until then is shown
        for number, draw in enumerate(pool.draws(options.draws, options.size)):
            print(f"    draw {number + 1}", file=sys.stderr, flush=True)
            for name, task in used:
                for way, text in draw.outcome(name, [task]).items():
                    rates.setdefault((name, task, way), []).append(bool(text))
                    if number == 0:
                        said = text or f"SILENT. {pool.overview(name, task).text()}"
                        print(f"    {name}, {task}, {way}: {said}"[:600], flush=True)
    return rates


def show(title: str, measured: Rates, size: int) -> dict[str, list[str]]:
    """Print the table of a set; returns the silent kinds by way."""
    count = min(map(len, measured.values()), default=0)
    print(f"\n{title}, {count} batches of {size} labels of one task: the share that is stopped\n")
    print(f"| kind | {' | '.join(WAYS)} |\n| --- |{' --- |' * len(WAYS)}")
    silent: dict[str, list[str]] = {way: [] for way in WAYS}
    for name in dict.fromkeys(name for name, _, _ in measured):
        cells = []
        for way in WAYS:
            rates = {}
            for (kind, task, of), stopped in measured.items():
                if (kind, of) == (name, way):
                    rates[task] = float(np.mean(stopped))
            text = ", ".join(f"{task} {rate:.0%}" for task, rate in rates.items())
            cells.append(text)
            if min(rates.values()) < FOUND:
                silent[way].append(name)
        print(f"| {name} | {' | '.join(cells)} |")
    for way, names in silent.items():
        print(f"\nNot found in {FOUND:.0%} in some task, {way}: {len(names)}: {'; '.join(names)}")
    return silent


def count_doubted(pool: Pool, count: int, size: int) -> int:
    """How many sound batches are stopped: of all tasks, each as the first and after 20."""
    stopped = 0
    made = 0
    with suppress(KeyboardInterrupt):
        for draw in pool.draws(count, size, runs=True):
            outcome = draw.outcome(RIGHT, pool.tasks)
            made += 1
            stopped += any(outcome.values())
            for way, text in outcome.items():
                if text:
                    print(f"    sound, {draw.names[0]} …, {way}: {text}", flush=True)
    print(f"\n{stopped} of {made} sound batches stopped")
    return stopped


def sources(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Frames]]:
    """The sets whose data are there."""
    if options.nyuv2.is_dir():
        yield "NYUv2", nyuv2(options.nyuv2)
    if options.rooms.is_dir():
        yield "Rooms", rendered(options.rooms)
    elif options.scenes:
        yield "Rooms", scenes(folder / "scenes", options.scenes)
    if options.photographs.is_dir():
        yield "Photographs", photographs(options.photographs)


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nyuv2", type=Path, default=Path("../shared/data/nyuv2"))
    parser.add_argument("--scenes", type=int, default=120, help="how many rooms to render")
    parser.add_argument("--rooms", type=Path, default=Path("none"), help="rooms rendered before")
    parser.add_argument("--photographs", type=Path, default=Path("none"), help="with classes")
    parser.add_argument("--draws", type=int, default=20, help="draws for each kind")
    parser.add_argument("--sound", type=int, default=168, help="sound batches of a set")
    parser.add_argument("--size", type=int, default=20, help="labels of a batch")
    parser.add_argument("--pool", type=int, default=120, help="images of a set to draw from")
    parser.add_argument(
        "--only", default=".", help="kinds whose name this regular expression finds"
    )
    options = parser.parse_args(words)
    doubted = 0
    silent: dict[str, set[str]] = {way: set() for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for title, frames in sources(options, Path(folder)):
            with pool_of(frames, options.pool) as pool:
                rates = measure(pool, options)
                for way, names in show(title, rates, options.size).items():
                    silent[way].update(names)
                doubted += count_doubted(pool, options.sound, options.size)
    print()
    holds = [check_limit("sound batches stopped", doubted, 0, "")]
    for way, bar in SILENT.items():
        holds.append(check_limit(f"silent kinds, {way}", len(silent[way]), bar, ""))
    return 0 if all(holds) else 1


if __name__ == "__main__":
    raise SystemExit(main())
