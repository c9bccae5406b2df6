"""The law of hints: each ready command or option that is printed for wrong labels is applied as it is printed, and cures.

If a message names several, one of them must give the labels that were meant, pixel by pixel, none may end with an
error of its own, and none may let in other labels than those that were meant: they must be right, or still be refused.
What is declared is not advised again.
"""

import json
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from labelgrid.project.folder import ProjectFolder
from labelgrid.project.sources import source_of
from tests.e2e.commands import Done, done, typed

SIZE = (120, 160)
NAMES = [f"photo_{number:04d}" for number in range(3)]
CLASSES = ("wall", "floor", "door", "lamp")

Pixels = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    """Labels that are not what their task declares, and the values that are meant.

    `hints` are the ready commands and options that cure the case, as they are printed; one of them must be. The same
    file may have two meanings: then a hint of one lets in what the other does not mean.
    """

    task: str
    stored: Callable[[Pixels], Pixels]
    meant: Callable[[Pixels], Pixels]
    hints: tuple[str, ...]
    accept: bool = False
    file: str = "{task}/{name}.png"
    two_meanings: bool = False


def classes(number: int) -> Pixels:
    """A map of four classes of the image of a number."""
    rng = np.random.default_rng(number)
    index = np.zeros(SIZE, np.uint8)
    for _ in range(30):
        y, x = rng.integers(0, SIZE[0]), rng.integers(0, SIZE[1])
        index[y : y + 30, x : x + 40] = rng.integers(0, 4)
    return index


def depth(index: Pixels) -> Pixels:
    """Metres."""
    return 1.5 + index + np.linspace(0, 1, SIZE[0])[:, None]


def with_sky(metres: Pixels, number: float) -> Pixels:
    """Depths with a number in place of those of the first rows."""
    metres = metres.copy()
    metres[:12] = number
    return metres


def facing(index: Pixels) -> Pixels:
    """Unit normals, x right, y up, z toward the camera."""
    vectors = np.stack([np.sin(index), np.full(SIZE, 0.4), np.full(SIZE, 1.5)], -1)
    return vectors / np.linalg.norm(vectors, axis=2, keepdims=True)


def table(*values: int) -> Callable[[Pixels], Pixels]:
    """Replace each class by a number."""
    return lambda index: np.array(values, np.uint8)[index]


def blurred(index: Pixels) -> Pixels:
    return cv2.GaussianBlur(np.where(index > 1, 255, 0).astype(np.uint8), (0, 0), 2)


def doubled(small: Pixels) -> Pixels:
    return small.repeat(2, 0).repeat(2, 1)


VOID = 255
CASES = {
    "classes from 1": Case(
        task="semseg", stored=lambda index: index + 1, meant=lambda index: index, hints=("first=1",)
    ),
    "classes from 1, 0 is not labelled": Case(
        task="semseg",
        stored=table(0, 2, 3, 4),
        meant=table(VOID, 1, 2, 3),
        hints=("first=1",),
        two_meanings=True,
    ),
    "a number for not labelled": Case(
        task="semseg",
        stored=table(200, 1, 2, 3),
        meant=table(VOID, 1, 2, 3),
        hints=("ignore=[200]",),
    ),
    "ids": Case(
        task="semseg",
        stored=table(7, 11, 23, 26),
        meant=lambda index: index,
        hints=('ids={"7": "wall", "11": "floor", "23": "door", "26": "lamp"}',),
    ),
    "0 and 255, 255 a class": Case(
        task="two",
        stored=table(0, 0, 255, 255),
        meant=table(0, 0, 1, 1),
        hints=('ids={"0": "back", "255": "thing"}',),
        two_meanings=True,
    ),
    "0 and 255, 255 not labelled": Case(
        task="two",
        stored=table(0, 0, 255, 255),
        meant=table(0, 0, VOID, VOID),
        hints=("ignore=[255]",),
        two_meanings=True,
    ),
    "another size": Case(
        task="semseg",
        stored=lambda index: index[1::2, 1::2],
        meant=lambda index: doubled(index[1::2, 1::2]),
        hints=('resample="nearest"',),
    ),
    "grey borders": Case(
        task="saliency",
        stored=blurred,
        meant=lambda index: (blurred(index) >= 128).astype(np.uint8),
        hints=("threshold=128",),
    ),
    "1 for yes": Case(
        task="saliency",
        stored=table(0, 0, 1, 1),
        meant=table(0, 0, 1, 1),
        hints=("one_is_positive=true",),
    ),
    "centimetres of 8 bits": Case(
        task="depth",
        stored=lambda index: np.rint(depth(index) * 40).astype(np.uint8),
        meant=lambda index: np.rint(depth(index) * 40) / 100,
        hints=("scale=0.01",),
    ),
    "whole metres": Case(
        task="depth",
        stored=lambda index: np.rint(depth(index)).astype(np.uint16),
        meant=lambda index: np.rint(depth(index)),
        hints=("scale=1",),
        accept=True,
    ),
    "millimetres as floats": Case(
        task="depth",
        stored=lambda index: (1000 * depth(index)).astype(np.float32),
        meant=depth,
        hints=("scale=0.001",),
        accept=True,
        two_meanings=True,
        file="{task}/{name}.npy",
    ),
    "KITTI's steps as floats": Case(
        task="depth",
        stored=lambda index: (256 * depth(index)).astype(np.float32),
        meant=depth,
        hints=('scale="1/256"',),
        accept=True,
        two_meanings=True,
        file="{task}/{name}.npy",
    ),
    "the largest number of 16 bits for not measured": Case(
        task="depth",
        stored=lambda index: with_sky(1000 * depth(index), 65535).astype(np.uint16),
        meant=lambda index: with_sky(np.trunc(1000 * depth(index)) / 1000, VOID),
        hints=("ignore=[65535]",),
        accept=True,
    ),
    "the largest half for not measured": Case(
        task="depth",
        stored=lambda index: with_sky(depth(index), 65504).astype(np.float16),
        meant=lambda index: with_sky(depth(index).astype(np.float16).astype(float), VOID),
        hints=("ignore=[65504]",),
        accept=True,
        file="{task}/{name}.npy",
    ),
    "the largest half beyond a maximum": Case(
        task="near",
        stored=lambda index: with_sky(depth(index), 65504).astype(np.float16),
        meant=lambda index: with_sky(depth(index).astype(np.float16).astype(float), VOID),
        hints=("ignore=[65504]",),
        file="{task}/{name}.npy",
    ),
    "a number of many pixels beyond a maximum": Case(
        task="near",
        stored=lambda index: with_sky(depth(index), 1000.5).astype(np.float32),
        meant=lambda index: with_sky(depth(index), VOID),
        hints=("ignore=[1000.5]",),
        file="{task}/{name}.npy",
    ),
    "millimetres beyond a maximum": Case(
        task="near",
        stored=lambda index: (1000 * depth(index)).astype(np.float32),
        meant=depth,
        hints=("scale=0.001",),
        file="{task}/{name}.npy",
    ),
    "a camera's axes": Case(
        task="normals",
        stored=lambda index: (facing(index) * [1, -1, -1]).astype(np.float32),
        meant=facing,
        hints=('axes="x right, y down, z away from the camera"',),
        file="{task}/{name}.npy",
    ),
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Only read."""
    folder = tmp_path_factory.mktemp("hints") / "images"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        index = classes(number)
        picture = np.stack([60 * index + 20, 40 * index + 60, 255 - 50 * index], -1)
        cv2.imwrite(str(folder / f"{name}.jpg"), picture)
    return folder


@pytest.fixture(scope="module")
def empty(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project without labels; only copied."""
    tmp_path = tmp_path_factory.mktemp("empty")
    tasks = (
        f"[semseg]\nclasses = {json.dumps(CLASSES)}\n[two]\nkind = 'semseg'\nclasses = ['back', 'thing']\n"
        "[depth]\n[normals]\n[saliency]\n[near]\nkind = 'depth'\nmaximum = 20\n"
    )
    (tmp_path / "tasks.toml").write_text(tasks)
    folder = tmp_path / "project"
    done("init", folder, "--images", images, "--tasks", tmp_path / "tasks.toml")
    return folder


@pytest.fixture
def project(empty: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(empty, tmp_path / "project"))


def write(case: Case, folder: Path) -> Path:
    """Write the labels of a case."""
    for number, name in enumerate(NAMES):
        path = folder / case.file.format(task=case.task, name=name)
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = case.stored(classes(number))
        if path.suffix == ".npy":
            np.save(path, stored)
        else:
            assert cv2.imwrite(str(path), stored)
    return folder


def printed(text: str, project: Path, task: str) -> list[tuple[str, ...]]:
    """The ready commands in a message; where there is none, commands of the options in it."""
    text = " ".join(text.split())
    commands = [
        tuple(shlex.split(found)[1:]) for found in re.findall(r"`(labelgrid task [^`]*)`", text)
    ]
    if not commands:
        for key, value in re.findall(r"`(\w+) = ([^`]*)`", text):
            commands.append(("task", str(project), task, "--set", f"{key}={value}"))
    return list(dict.fromkeys(commands))


def labels(project: Path, task: str) -> list[Pixels]:
    """The labels of a project, with `VOID` where they are not valid."""
    found = []
    with ProjectFolder.open(project) as opened:
        source = source_of(opened)
        definition = opened.tasks()[task]
        for name in NAMES:
            label = source.label(f"{name}.jpg", definition)
            assert label is not None
            found.append(np.where(label.valid[..., None], label.value, VOID).squeeze())
    return found


def applied(command: tuple[str, ...], project: Path, source: Path) -> tuple[Done, Path]:
    """Run a printed command, and the import again, in a copy of the project."""
    copy = project.with_name(f"copy{len(list(project.parent.iterdir()))}")
    shutil.copytree(project, copy)
    words = [str(copy) if word == str(project) else word for word in command]
    result = typed(*words)
    assert result.code == 0, (command, result.err)
    return typed("import", copy, source), copy


@pytest.mark.parametrize("name", CASES)
def test_what_is_printed_cures_if_it_is_applied_as_it_is_printed(
    project: Path, tmp_path: Path, name: str
) -> None:
    case = CASES[name]
    source = write(case, tmp_path / "labels")
    wrong = typed("import", project, source)
    assert wrong.code == 1, wrong.out
    assert ("--accept" in wrong.err) == case.accept
    commands = printed(wrong.err, project, case.task)
    assert commands, wrong.err
    cured = []
    for command in commands:
        result, copy = applied(command, project, source)
        if result.code == 0 and is_meant(case, copy):
            cured.append(command[-1])
        else:
            assert len(commands) > 1, (command, result.err)
            is_template = "NAME" in command  # a word to be replaced by the person
            assert result.code == 1 or case.two_meanings or is_template, (command, result.out)
            assert command[2:] not in [each[2:] for each in printed(result.err, copy, case.task)]
    assert cured == list(case.hints), (commands, wrong.err)


def is_meant(case: Case, project: Path) -> bool:
    """Whether a project's labels are the values that are meant."""
    same = []
    for number, label in enumerate(labels(project, case.task)):
        same.append(np.allclose(label, case.meant(classes(number)), atol=2e-3))
    return all(same)


@pytest.mark.parametrize(
    ("file", "channels"),
    [
        ("{task}/{name}_mask.png", 1),
        ("{task}/mask_{name}.png", 3),
        ("{task}/{name}.png", 3),
        ("{task}/{name}.tif", 1),
    ],
)
def test_other_names_and_three_equal_channels_come_in_without_any_hint(
    project: Path, tmp_path: Path, file: str, channels: int
) -> None:
    case = Case(
        task="semseg",
        stored=lambda index: index if channels == 1 else np.dstack([index] * channels),
        meant=lambda index: index,
        hints=(),
        file=file,
    )
    done("import", project, write(case, tmp_path / "labels"))
    assert is_meant(case, project)


@pytest.mark.parametrize("file", ["{name}.png", "masks/{name}.png"])
def test_labels_outside_a_task_s_folder_come_in_under_the_printed_name(
    project: Path, tmp_path: Path, file: str
) -> None:
    case = Case(
        task="semseg",
        stored=lambda index: index,
        meant=lambda index: index,
        hints=(),
        file=file,
    )
    source = write(case, tmp_path / "labels")
    wrong = " ".join(typed("import", project, source).err.split())
    assert "TASK/IMAGE.png" in wrong and "semseg" in wrong, wrong
    named = tmp_path / "named"
    for path in source.rglob("*.png"):
        (named / "semseg").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, named / "semseg" / path.name)
    done("import", project, named)
    assert is_meant(case, project)


def test_files_that_no_name_explains_come_in_with_the_printed_list(
    project: Path, tmp_path: Path
) -> None:
    case = Case(
        task="semseg",
        stored=lambda index: index,
        meant=lambda index: index,
        hints=(),
        file="{task}/deep/{name}.png",
    )
    source = write(case, tmp_path / "labels")
    wrong = " ".join(typed("import", project, source).err.split())
    assert "Say whose it is in labels.csv, a table of image,task,path" in wrong, wrong
    lines = [f"{name}.jpg,semseg,semseg/deep/{name}.png" for name in NAMES]
    (source / "labels.csv").write_text("\n".join(["image,task,path", *lines]) + "\n")
    done("import", project, source)
    assert is_meant(case, project)


def test_the_map_that_is_printed_for_an_unknown_class_cures(project: Path, tmp_path: Path) -> None:
    source = tmp_path / "drawn"
    source.mkdir()
    corner = [[10, 10], [60, 10], [60, 50], [10, 50]]
    for name in NAMES:
        shapes = [{"label": "lampe", "points": corner, "shape_type": "polygon", "flags": {}}]
        drawn = {
            "version": "5.4.1",
            "flags": {},
            "shapes": shapes,
            "imagePath": f"{name}.jpg",
            "imageData": None,
            "imageHeight": SIZE[0],
            "imageWidth": SIZE[1],
        }
        (source / f"{name}.json").write_text(json.dumps(drawn))
    words = ("import", project, source, "--from", "labelme", "--task", "semseg", "--rest", "ignore")
    wrong = typed(*words)
    assert wrong.code == 1, wrong.out
    maps = re.findall(r"--map '([^']*)'", " ".join(wrong.err.split()))
    assert maps == ["lampe=CLASS", "lampe=ignore"], wrong.err
    done(*words, "--accept", "--map", maps[0].replace("CLASS", "lamp"))
    for label in labels(project, "semseg"):
        assert label[30, 30] == CLASSES.index("lamp") and label[0, 0] == VOID
