"""Claim: with 100,000 images × 5 tasks the overview and the grid take 0.3 s of the server, an image 0.2 s.

The server is the real command, and its time is processor time, which other work on the machine
disturbs little; also that of the first time that a page is asked for. The baseline is what one would write first: all cells are listed, and a page of
them is shown. `--load SECONDS` also lets 20 readers and 4 writers work at once: no answer may fail,
and all that was acknowledged must be in the history of its cell.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
from _measure import TICKS, check_limit, labelgrid, machine, processor_of
from PIL import Image

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.files import digest, digest_of
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.image_order import image_page
from labelgrid.project.label_classes import note_label_classes
from labelgrid.project.label_losses import note_label_losses

TASKS = ("depth", "normals", "edges", "saliency")
CLASSES = [f"class {number}" for number in range(40)]
#: How the names of the images end that have a label which can be read.
PICTURED = "00.png"
#: The labels that an audit doubts.
SUSPECTS = 2000
READERS = 20
WRITERS = 4
#: The MiB by which the server's memory may grow under load.
GROWTH = 200


def name_of(number: int) -> str:
    return f"scene_{number // 100:05d}/frame_{number:07d}.png"


def limits(images: int, labelled: int) -> dict[str, float]:
    """The pages, and the seconds of the server's processor that each may take."""
    image = name_of(labelled // 200 * 100)
    return {
        "": 0.3,
        "grid": 0.3,
        f"grid?page={images // 50}": 0.3,
        "grid?state=missing&task=edges&page=100": 0.3,
        "grid?state=labelled&split=train&name=9": 0.3,
        "grid?order=changed": 0.3,
        "grid?shows=semseg:class+3": 0.3,
        "grid?shows=semseg:class+3&split=train&name=9&page=20": 0.3,
        "grid?order=loss/semseg": 0.3,
        "grid?suspect=true&page=5": 0.3,
        f"image?image={image}": 0.2,
        f"picture/label?image={image}&task=depth": 0.2,
    }


def make_project(root: Path, images: int, labelled: int) -> Path:
    """A project of which, in so many images, one cell of five is labelled and one requested."""
    names = [name_of(number) for number in range(images)]
    Image.fromarray(np.full((120, 160, 3), 90, np.uint8)).save(root / "picture.png")
    for name in names:
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(root / "picture.png")
    (root / "list.txt").write_text("\n".join(names))
    (root / "classes.txt").write_text("\n".join(CLASSES))
    folder = root / "grid"
    tasks = (*TASKS, f"semseg:classes={root / 'classes.txt'}")
    with ProjectReader.create(folder, root / "list.txt", tasks, holdout=100, check="none"):
        label = folder / "labels" / "depth.png"
        label.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((120, 160), 1500, np.uint16)).save(label)
    fill(folder, labelled)
    return folder


def fill(folder: Path, labelled: int) -> None:
    """Request and label cells of so many images."""
    label = folder / "labels" / "depth.png"
    with ProjectFolder.open(folder) as opened:
        train = [row.image_id for row in islice(opened.store.images(("train",)), labelled)]
        opened.store.move(moves(train, digest(label)))
        label_classes(opened, train)


def label_classes(project: ProjectFolder, names: list[str]) -> None:
    """Give images class maps, of which it is known which classes they show, and some are doubted."""
    task = project.tasks()["semseg"]
    rng = random.Random(0)
    contents = {name: digest_of(name.encode()) for name in names}
    steps = []
    lines = ["task,image,place,doubt,reasons,path,confirmed"]
    for rank, (name, content) in enumerate(contents.items()):
        path = f"labels/semseg/{name}.{content[:8]}.png"
        move = Move(
            cell=Cell(name, "semseg"), to=State.LABELLED, path=path, digest=content, cost=1.0
        )
        steps.append(move)
        lines.append(f"semseg,{name},{rank + 1},{float(rank < SUSPECTS)},odd,{path},")
    project.store.move(steps)
    shown = {content: rng.randbytes(len(CLASSES) // 8) for content in contents.values()}
    note_label_classes(project, task, shown)
    losses = {content: rng.random() for content in contents.values()}
    note_label_losses(project, "semseg", losses)
    (project.folder / "audit.csv").write_text("\n".join(lines))


def moves(names: list[str], content: str) -> list[Move]:
    """The moves that request a cell of each image, and label the depth of some."""
    steps = []
    for number, name in enumerate(names):
        other = Cell(name, ("normals", "edges")[number % 2])
        requested = Move(cell=other, to=State.REQUESTED, request_id=f"r{number}", cost=1.0)
        steps.append(requested)
        if not name.endswith(PICTURED):
            continue
        labelled = Move(
            cell=Cell(name, "depth"),
            to=State.LABELLED,
            path="labels/depth.png",
            digest=content,
            cost=1.0,
        )
        steps.append(labelled)
    return steps


class Server:
    """The command `labelgrid serve`, and what it uses."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            labelgrid("serve", folder, "--port", 0), stdout=subprocess.PIPE, text=True
        )
        link = self._process.stdout.readline().split()[0]
        self.address, _, token = link.partition("?token=")
        self._headers = {"Authorization": f"Bearer {token}"}

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.terminate()
        self._process.communicate()

    def get(self, path: str) -> bytes:
        """The content of a page."""
        request = Request(self.address + path, headers=self._headers)
        with urlopen(request, timeout=600) as answer:
            return answer.read()

    def post(self, path: str, body: object) -> int:
        """The status of the answer to a change."""
        data = json.dumps(body).encode()
        headers = self._headers | {"Content-Type": "application/json"}
        request = Request(self.address + path, data, headers)
        try:
            with urlopen(request, timeout=600) as answer:
                return answer.status
        except HTTPError as error:
            return error.code

    def seconds(self) -> float:
        """The processor time that it has used."""
        return processor_of(self._process.pid)

    def memory(self) -> float:
        """The MiB that it holds."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def measure(server: Server, path: str, repeats: int) -> tuple[float, float]:
    """The processor seconds of a page, when it is first asked for and later."""
    start = server.seconds()
    server.get(path)
    before = server.seconds()
    for _ in range(repeats):
        server.get(path)
    return before - start, (server.seconds() - before) / repeats


@dataclass
class Load:
    """What readers and writers saw.

    Args:
        pages: that are read.
        until: when they stop.
        answers: by status.
        acknowledged: the changes of each cell that were answered with 200.
    """

    pages: list[str]
    until: float
    answers: Counter[int] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)


def read(server: Server, load: Load, seed: int) -> None:
    """Read pages until the end."""
    rng = random.Random(seed)
    while time.monotonic() < load.until:
        try:
            server.get(rng.choice(load.pages))
            load.answers[200] += 1
        except HTTPError as error:
            load.answers[error.code] += 1


def write(server: Server, load: Load, cells: list[str]) -> None:
    """Request and cancel cells in turns until the end; the first one is shared with all writers."""
    while time.monotonic() < load.until:
        for cell in cells:
            for action in ("request", "cancel"):
                status = server.post(f"api/cells/{action}", {"cells": [cell]})
                load.answers[status] += 1
                if status == 200:
                    load.acknowledged[cell] += 1


def under_load(server: Server, folder: Path, pages: list[str], seconds: float) -> bool:
    """Whether all goes well while many read and write."""
    with ProjectReader.open(folder) as project:
        missing = [f"{image}:saliency" for image in _first_images(project)]
        before = {cell: len(project.cell(cell).history()) for cell in missing}
    start = server.memory()
    load = Load(pages, time.monotonic() + seconds)
    with ThreadPoolExecutor(READERS + WRITERS) as pool:
        jobs = [pool.submit(read, server, load, seed) for seed in range(READERS)]
        for number in range(WRITERS):
            chosen = [missing[0], *missing[1 + number :: WRITERS]]
            jobs.append(pool.submit(write, server, load, chosen))
        for job in jobs:
            job.result()
    lost = 0
    with ProjectReader.open(folder) as project:
        for cell in missing:
            lost += load.acknowledged[cell] != len(project.cell(cell).history()) - before[cell]
    grown = server.memory() - start
    print(f"  {seconds:.0f} s of {READERS} readers and {WRITERS} writers: {dict(load.answers)}")
    failed = sum(count for status, count in load.answers.items() if status not in (200, 409))
    print(f"  failed: {failed}, cells with lost or doubled changes: {lost}")
    return check_limit("memory under load", grown, GROWTH, "MiB") and not failed and not lost


def _first_images(project: ProjectReader) -> list[str]:
    from labelgrid.ledger.image_pages import ImageFilter

    wanted = ImageFilter(splits=("train",), state=State.MISSING, task="saliency")
    return [image.image_id for image in image_page(project.disk, wanted, count=41).images]


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--labelled", type=int, help="images with labels and requests; else all")
    parser.add_argument("--folder", type=Path, help="keep the project here, or use the one there")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--load", type=float, default=0, help="seconds of readers and writers")
    options = parser.parse_args(words)
    print(machine())
    labelled = options.labelled or options.images
    print(f"{options.images:,} images x {len(TASKS) + 1} tasks, {labelled:,} with labels")
    kept = True
    with tempfile.TemporaryDirectory() as name:
        root = options.folder or Path(name)
        folder = root / "grid"
        if not folder.exists():
            make_project(root, options.images, labelled)
        start = time.process_time()
        with ProjectReader.open(folder) as project:
            project.cells()[:240]
        listed = time.process_time() - start
        with Server(folder) as server:
            pages = limits(options.images, labelled)
            for path, limit in pages.items():
                first, seconds = measure(server, path, options.repeats)
                kept &= check_limit(f"/{path}", seconds, limit, "s")
                faster = listed / max(seconds, 1 / TICKS)
                print(
                    f"  {faster:.1f} x as fast as listing all cells; the first time {first:.2f} s"
                )
                print(f"  the server holds {server.memory():.0f} MiB")
            if options.load:
                kept &= under_load(server, folder, list(pages), options.load)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
