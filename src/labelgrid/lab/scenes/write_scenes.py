"""Writes a data set of scenes in parallel, as a folder of images and labels.

The same call resumes after a stop.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from labelgrid.basics import files
from labelgrid.basics.array_types import Bools, Ints
from labelgrid.basics.errors import ProjectError
from labelgrid.basics.processes import cores, end_with_parent
from labelgrid.basics.progress import Progress
from labelgrid.basics.streams import seed_of, stream
from labelgrid.basics.type_names import Size
from labelgrid.formats.codec import LabelArray
from labelgrid.lab.scenes.people import PARTS, PERSON
from labelgrid.lab.scenes.ray_casting import RayHits, cast
from labelgrid.lab.scenes.render import mitsuba, render
from labelgrid.lab.scenes.rooms import CLASSES, FOV, Scene, make_scene, room_of
from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.task import TaskDef, definitions

#: The file in the folder that holds the settings.
SETTINGS_FILE = "scenes.json"
#: The shares of rooms in train and val; the rest is test.
TRAIN = 0.7
VAL = 0.1
#: The tasks of the data set; the costs correspond to minutes per label.
TASKS = (
    TaskRow("semseg", "semseg", 10.0, {"classes": list(CLASSES)}),
    TaskRow("parts", "semseg", 8.0, {"classes": list(PARTS)}),
    TaskRow("saliency", "saliency", 2.0),
    TaskRow("edges", "edges", 5.0),
    TaskRow("depth", "depth", 1.0),
    TaskRow("normals", "normals", 1.0),
)
#: The weight of a person's pixels in the choice of the salient object.
PERSON_WEIGHT = 10.0


@dataclass(frozen=True)
class SceneSettings:
    """The settings of a data set of scenes.

    Args:
        size: height and width of the images.
        seed: the seed of all random draws.
        samples: the number of light paths per pixel.
        frames: the number of views of each room, which are near-duplicates of one another; 1: one
            in most rooms, more in some.
    """

    size: Size = (96, 128)
    seed: int = 0
    samples: int = 16
    frames: int = 1

    def json(self) -> str:
        """The settings as the text of `scenes.json`."""
        return json.dumps(asdict(self), indent=1) + "\n"


def image_id_of(settings: SceneSettings, index: int) -> str:
    """The id of a scene's image; views of the same room share a folder.

    Example:
        >>> image_id_of(SceneSettings(), 0)
        'room_00000/0.png'
    """
    room, view = room_of(settings.seed, index, settings.frames)
    return f"room_{room:05d}/{view}.png"


def write_scenes(
    out: Path, count: int, settings: SceneSettings, progress: Progress, jobs: int = 0
) -> tuple[int, int]:
    """Write images, labels, splits, task definitions and the camera.

    A folder with more scenes keeps all of them.

    Returns:
        The number of scenes, and how many of them were rendered by this call.

    Raises:
        ProjectError: the folder holds other scenes, the disk reports an error, or a worker was
            killed.
        PluginError: Mitsuba is not installed.
    """
    mitsuba()
    _check_folder(out, settings)
    listed = [path.read_text(encoding="utf-8").split() for path in (out / "splits").glob("*.txt")]
    count = max(count, sum(map(len, listed)))
    with files.disk_errors(out):
        files.write_text(out / SETTINGS_FILE, settings.json())
        images = out / "images"
        missing = [i for i in range(count) if not (images / image_id_of(settings, i)).is_file()]
        progress.start("Rendering scenes", count, "scenes")
        progress.advance(count - len(missing))
        _render_all(partial(write_scene, out, settings), missing, progress, jobs or cores())
        _write_lists(out, count, settings)
    return count, len(missing)


def _render_all(
    write: Callable[[int], None], missing: Sequence[int], progress: Progress, jobs: int
) -> None:
    # OpenCV's threads do not survive a fork: setting their number would never return.
    context = get_context("spawn")
    try:
        with ProcessPoolExecutor(jobs, context, initializer=_init_worker) as processes:
            for _ in processes.map(write, missing, chunksize=1):
                progress.advance()
    except BrokenProcessPool as error:
        raise ProjectError(
            "A worker was killed; the memory may be full.",
            next_step="Run the same command again, with fewer workers, for example --jobs 1.",
            unchanged="Finished scenes are kept.",
        ) from error


def write_scene(out: Path, settings: SceneSettings, index: int) -> None:
    """Render one scene and write the labels, then the image.

    So every image in the folder has all labels.
    """
    scene = make_scene(settings.seed, index, settings.frames)
    image_id = image_id_of(settings, index)
    hits = cast(scene, settings.size)
    seed = seed_of(settings.seed, "scenes light", index) % 2**31
    image = render(scene, hits, settings.samples, seed)
    tasks = _definitions()
    for task, label in scene_labels(scene, hits).items():
        path = out / "labels" / task / Path(image_id).with_suffix(".png")
        if label.valid.any():
            tasks[task].write(path, label)
    with files.atomic_write(out / "images" / image_id, durable=True) as temporary:
        encoded, data = cv2.imencode(".png", image[..., ::-1])
        assert encoded
        temporary.write_bytes(data.tobytes())


@cache
def _definitions() -> dict[str, TaskDef]:
    return definitions(TASKS)


def _init_worker() -> None:
    end_with_parent()
    # One thread, since there are as many workers as cores.
    import drjit

    cv2.setNumThreads(1)
    drjit.set_thread_count(1)
    mitsuba()


def _check_folder(out: Path, settings: SceneSettings) -> None:
    if out.is_file():
        raise ProjectError("It is a file.", where=out, next_step="Give a new folder.")
    path = out / SETTINGS_FILE
    if path.is_file() and path.read_text(encoding="utf-8") != settings.json():
        raise ProjectError(
            "The folder holds scenes of another size, seed, or number of samples or frames.",
            where=out,
            next_step="Give another folder.",
            unchanged="Nothing was rendered.",
        )
    if not path.is_file() and out.is_dir() and any(out.iterdir()):
        raise ProjectError(
            "The folder holds something else.", where=out, next_step="Give a new folder."
        )


def _write_lists(out: Path, count: int, settings: SceneSettings) -> None:
    splits: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for index in range(count):
        room, _ = room_of(settings.seed, index, settings.frames)
        splits[_draw_split(settings.seed, room)].append(image_id_of(settings, index))
    for split, image_ids in splits.items():
        path = out / "splits" / f"{split}.txt"
        if image_ids:
            files.write_text(path, "\n".join(image_ids) + "\n")
        else:  # few scenes may leave a split without a room
            path.unlink(missing_ok=True)
    files.write_text(out / "tasks.toml", tasks_toml())
    files.write_text(out / "camera.toml", f"field_of_view = {FOV}\n")


def _draw_split(seed: int, room: int) -> str:
    draw = stream(seed, "scenes split", room).random()
    if draw < TRAIN:
        return "train"
    if draw < TRAIN + VAL:
        return "val"
    return "test"


def tasks_toml() -> str:
    """The tasks of rendered rooms as the content of `tasks.toml`."""
    tables = []
    for row in TASKS:
        table = f'[{row.name}]\nkind = "{row.kind}"\ncost = {row.cost}\n'
        if "classes" in row.options:
            table += f"classes = {json.dumps(row.options['classes'])}\n"
        tables.append(table)
    return "\n".join(tables)


def scene_labels(scene: Scene, hits: RayHits) -> Mapping[str, LabelArray]:
    """The exact labels of a scene, by task; valid where a ray hits a solid.

    The salient object is the one that fills most of the picture's middle; a person counts ten
    times. Edges are pixels whose right or lower neighbour belongs to another object or class.
    """
    hit = hits.solid >= 0
    index = np.array([CLASSES.index(solid.label) for solid in scene.solids])[hits.solid]
    part = np.array([PARTS.index(solid.part or "none") for solid in scene.solids])[hits.solid]
    thing = np.array([solid.thing for solid in scene.solids])[hits.solid]
    salient = _salient_pixels(index, thing, hit).astype(np.float32)
    edges = _border_pixels(thing * len(CLASSES) + index).astype(np.float32)
    everywhere = np.ones_like(hit)
    return {
        "semseg": LabelArray(index[..., None], hit),
        "parts": LabelArray(part[..., None], hit),
        "saliency": LabelArray(salient[..., None], everywhere),
        "edges": LabelArray(edges[..., None], everywhere),
        "depth": LabelArray(hits.depth[..., None], hit),
        "normals": LabelArray(hits.normals, hit),
    }


def _salient_pixels(index: Ints, thing: Ints, hit: Bools) -> Bools:
    """The pixels [h, w] of the salient object, given each pixel's class and object."""
    height, width = thing.shape
    up, across = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    middle = np.exp(-2 * (up**2 + across**2))
    pixels = middle * np.where(index == CLASSES.index(PERSON), PERSON_WEIGHT, 1.0)
    weight = np.bincount(thing[hit], pixels[hit], minlength=2)
    weight[0] = 0  # the room itself
    best = int(weight.argmax())
    if weight[best] > 0:
        return (thing == best) & hit
    return np.zeros_like(hit)


def _border_pixels(region: Ints) -> Bools:
    borders = np.zeros(region.shape, np.bool_)
    borders[:, :-1] |= region[:, :-1] != region[:, 1:]
    borders[:-1] |= region[:-1] != region[1:]
    return borders
