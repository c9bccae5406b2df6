"""How a data set of scenes is written: the layout of any folder, in parallel, gone on with where it was stopped."""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2

from labelgrid import files
from labelgrid.errors import ProjectError
from labelgrid.processes import cores
from labelgrid.progress import Progress
from labelgrid.scenes.cast import Size, cast
from labelgrid.scenes.maps import TASKS, labels_of
from labelgrid.scenes.render import mitsuba, render
from labelgrid.scenes.rooms import make_scene, room_of
from labelgrid.streams import seed_of, stream
from labelgrid.tasks.task import definitions

KEPT = "scenes.json"
#: Shares of the rooms that go to train and val; the rest is test.
TRAIN, VAL = 0.7, 0.1


@dataclass(frozen=True)
class Wanted:
    """A data set of scenes.

    Args:
        size: height and width; samples: of each pixel's light.
    """

    size: Size = (96, 128)
    seed: int = 0
    samples: int = 16

    def json(self) -> str:
        """As `scenes.json` keeps it."""
        return json.dumps(asdict(self), indent=1) + "\n"


def name_of(wanted: Wanted, index: int) -> str:
    """The id of a scene's image: looks at one room lie in one folder.

    Example:
        >>> name_of(Wanted(), 0)
        'room_00000/0.png'
    """
    room, look = room_of(wanted.seed, index)
    return f"room_{room:05d}/{look}.png"


def write_scenes(out: Path, count: int, wanted: Wanted, progress: Progress, jobs: int = 0) -> tuple[int, int]:
    """Write images, labels, splits and the tasks' definitions; a folder that holds more scenes keeps them all.

    Returns:
        how many scenes there are, and how many of them were rendered anew.

    Raises:
        ProjectError: the folder holds other scenes, the disk refuses, or a process that renders was killed.
        PluginError: Mitsuba is not installed.
    """
    mitsuba()
    _check_same(out, wanted)
    count = max(count, _listed(out))
    with files.disk(out):
        files.write_text(out / KEPT, wanted.json())
        missing = [index for index in range(count) if not (out / "images" / name_of(wanted, index)).is_file()]
        progress.start("Rendering scenes", count, "scenes")
        progress.advance(count - len(missing))
        _render_all(partial(write_scene, out, wanted), missing, progress, jobs or cores())
        _write_lists(out, count, wanted)
    return count, len(missing)


def _render_all(write: Callable[[int], None], missing: Sequence[int], progress: Progress, jobs: int) -> None:
    try:
        with ProcessPoolExecutor(jobs, initializer=_alone) as processes:
            for _ in processes.map(write, missing, chunksize=1):
                progress.advance()
    except BrokenProcessPool as error:
        raise ProjectError(
            "A process that renders was killed; the memory may be full.",
            next_step="Run the same command again; with fewer processes at a time, say --jobs 1.",
            unchanged="What had been rendered is kept.",
        ) from error


def _listed(out: Path) -> int:
    """How many scenes the folder's splits name."""
    return sum(len(path.read_text(encoding="utf-8").split()) for path in (out / "splits").glob("*.txt"))


def write_scene(out: Path, wanted: Wanted, index: int) -> None:
    """Render one scene and write its labels, then its image: an image that is there has all its labels."""
    scene, name = make_scene(wanted.seed, index), name_of(wanted, index)
    seen = cast(scene, wanted.size)
    image = render(scene, seen, wanted.samples, seed_of(wanted.seed, "scenes light", index) % 2**31)
    tasks = definitions(TASKS)
    for task, label in labels_of(scene, seen).items():
        path = out / "labels" / task / Path(name).with_suffix(".png")
        if label.valid.any():
            tasks[task].write(path, label)
    with files.atomic_write(out / "images" / name, durable=True) as temporary:
        done, data = cv2.imencode(".png", image[..., ::-1])
        assert done
        temporary.write_bytes(data.tobytes())


def _alone() -> None:
    """One thread a process: there are as many processes as cores."""
    import drjit

    cv2.setNumThreads(1)
    drjit.set_thread_count(1)
    mitsuba()


def _check_same(out: Path, wanted: Wanted) -> None:
    path = out / KEPT
    if path.is_file() and path.read_text(encoding="utf-8") != wanted.json():
        raise ProjectError(
            "The folder holds scenes of another size, seed or number of samples.",
            where=str(out),
            next_step="Name another folder.",
            unchanged="Nothing was rendered.",
        )
    if not path.is_file() and out.is_dir() and any(out.iterdir()):
        raise ProjectError("The folder holds something else.", where=str(out), next_step="Name a new folder.")


def _write_lists(out: Path, count: int, wanted: Wanted) -> None:
    """The splits by room, and the tasks as TOML."""
    splits: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for index in range(count):
        room, _ = room_of(wanted.seed, index)
        draw = stream(wanted.seed, "scenes split", room).random()
        split = "train" if draw < TRAIN else "val" if draw < TRAIN + VAL else "test"
        splits[split].append(name_of(wanted, index))
    for split, names in splits.items():
        if not names:  # few scenes may leave a split without a room
            (out / "splits" / f"{split}.txt").unlink(missing_ok=True)
            continue
        files.write_text(out / "splits" / f"{split}.txt", "".join(f"{name}\n" for name in names))
    files.write_text(out / "tasks.toml", "\n".join(_tables()))


def _tables() -> Iterator[str]:
    for row in TASKS:
        classes = f"classes = {json.dumps(row.options['classes'])}\n" if "classes" in row.options else ""
        yield f'[{row.name}]\nkind = "{row.kind}"\ncost = {row.cost}\n{classes}'
