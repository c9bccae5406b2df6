"""Defines the laws of data set layouts, functions that raise AssertionError for a breach.

A module that lays out a made data set says what a layout reads: `lay_out(made, root, missing)`
writes its files without the label `missing`. `ROWS` are its tasks, by default semseg and depth, and
`PICTURES` patterns of its files of images.
"""

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labelgrid.basics import plugins
from labelgrid.basics.errors import ImageError
from labelgrid.data.data_options import DataOptions
from labelgrid.data.dataset import Dataset
from labelgrid.data.loader import train_batches
from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.task import TaskDef, definitions
from labelgrid.testing.laws import Subject, expect
from labelgrid.testing.scenes import Made, make_dataset, task_rows

#: The sizes of images, which take turns.
SIZES = ((16, 24), (12, 20))


@dataclass(frozen=True, kw_only=True)
class LayoutCase:
    """A data set in a layout.

    Args:
        made: the data set.
        rows: its tasks.
        root: its folder.
        missing: the number of the image, and the task, without a label.
        dataset: what the layout's plug-in builds.
        pictures: patterns of the files of images below the folder.
    """

    made: Made
    rows: tuple[TaskRow, ...]
    root: Path
    missing: tuple[int, str]
    dataset: Dataset
    pictures: Sequence[str] = ("*.jpg",)

    @property
    def tasks(self) -> dict[str, TaskDef]:
        return definitions(self.rows)

    @property
    def names(self) -> list[str]:
        """The ids in the order of `made.names`."""
        return sorted(self.dataset.images())


def ids_are_stable_and_unique(case: LayoutCase) -> None:
    names = list(case.dataset.images())
    again = list(case.dataset.images())
    expect(
        names == again == list(case.dataset.images()),
        f"`images` must return the same ids in the same order each time; it returned {names} and "
        f"{again}: sort them.",
    )
    expect(
        len(set(names)) == len(names) == len(case.made.names),
        f"`images` must return each of {len(case.made.names)} images once; it returned {names}.",
    )
    expect(
        all(isinstance(name, str) and name for name in names),
        f"The ids that `images` returns must be texts, none empty; they are {names}.",
    )


def images_are_upright_rgb(case: LayoutCase) -> None:
    for name in case.names:
        image = case.dataset.image(name)
        expect(
            image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3,
            f"`image` must return RGB [h, w, 3] in bytes, np.uint8; of {name} it returned "
            f"{image.dtype} {image.shape}.",
        )
        expect(
            image.shape[:2] in SIZES,
            f"`image` must return an image as it is in its file, upright and not resized, here "
            f"one of {SIZES}; {name} is {image.shape[:2]}.",
        )


def a_label_has_its_image_s_size(case: LayoutCase) -> None:
    returned = 0
    for name in case.names:
        for task in case.tasks.values():
            label = case.dataset.label(name, task)
            if label is not None:
                size = case.dataset.image(name).shape[:2]
                expect(
                    label.size == size,
                    f"`label` must return a label of its image's size, {size}; that of "
                    f"{task.name} of {name} is {label.size}.",
                )
                returned += 1
    wanted = len(case.names) * len(case.tasks) - 1
    expect(
        returned == wanted,
        f"`label` must return all labels but the missing one, {wanted}; it returned {returned}.",
    )


def a_missing_label_is_none(case: LayoutCase) -> None:
    number, name = case.missing
    label = case.dataset.label(case.names[number], case.tasks[name])
    expect(
        label is None,
        f"`label` must return None where there is no label of {name}, for {case.names[number]}; it "
        f"returned {label}.",
    )
    expect(
        case.dataset.label(case.names[number - 1], case.tasks[name]) is not None,
        f"`label` must return the label of {name} of {case.names[number - 1]}; it returned None.",
    )


def labels_are_those_that_were_laid_out(case: LayoutCase) -> None:
    for name, made_name in zip(case.names, case.made.names, strict=True):
        for task in case.tasks.values():
            label = case.dataset.label(name, task)
            truth = task.read(case.made.label(made_name, task.name))
            if label is not None:
                said = f"The label of {task.name} of {name} must be the one that was laid out"
                wrong = int((label.valid != truth.valid).sum())
                expect(wrong == 0, f"{said}; {wrong} pixels of its mask differ.")
                value = label.value[label.valid]
                told = truth.value[truth.valid]
                expect(
                    np.allclose(value, told, atol=3e-3),
                    f"{said}; its values differ by up to {np.abs(value - told).max():g}.",
                )


def splits_are_disjoint_and_of_the_images(case: LayoutCase) -> None:
    splits = case.dataset.splits()
    members = [name for names in splits.values() for name in names]
    sizes = {split: len(names) for split, names in splits.items()}
    expect(
        len(splits) == 2 and len(set(members)) == len(members),
        "`splits` must return the two splits that were laid out, no image in both; it returned "
        f"{sizes} of {len(set(members))} images.",
    )
    strange = set(members) - set(case.dataset.images())
    expect(not strange, f"`splits` must name ids of `images` alone; {sorted(strange)} are none.")


def it_is_the_same_in_another_process(case: LayoutCase) -> None:
    try:
        twin = pickle.loads(pickle.dumps(case.dataset))  # noqa: S301
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise AssertionError(
            "A data set must be pickled, so that the processes of a loader read it; that raised "
            f"{error!r}: keep paths and names in it, not open files or functions."
        ) from error
    expect(
        list(twin.images()) == list(case.dataset.images())
        and twin.splits() == case.dataset.splits(),
        "A pickled data set must have the images and splits of the first one; they differ.",
    )
    options = DataOptions(size=(16, 24))
    words: dict[str, Any] = {"batch": 2, "seed": 0, "epoch": 0}
    near = list(train_batches(case.dataset, case.tasks, case.names, options, **words))
    far = list(train_batches(twin, case.tasks, case.names, options, workers=2, **words))
    pairs = list(zip(near, far, strict=True))
    expect(
        all(a.ids == b.ids and bool((a.images == b.images).all()) for a, b in pairs),
        "A data set must give the same images in another process; they differ.",
    )


def a_damaged_image_is_an_error_of_its_own(case: LayoutCase) -> None:
    for pattern in case.pictures:
        for path in list(case.root.rglob(pattern)):
            path.write_bytes(b"no image")
    said = "`image` must raise an ImageError for a file that is no image"
    try:
        case.dataset.image(case.names[0])
    except ImageError:
        return
    except Exception as error:
        raise AssertionError(
            f"{said}; it raised {error!r}. `labelgrid.images.reading.read_image` raises one."
        ) from error
    raise AssertionError(f"{said}; it returned an image.")


def case_of(subject: Subject, place: Path) -> LayoutCase:
    """A made data set in a layout, below a folder."""
    lay_out = subject.demand("lay_out", "which writes a made data set as the layout has it")
    rows = tuple(subject.says("ROWS", task_rows(("semseg", "depth"))))
    names = [row.name for row in rows]
    made = make_dataset(place / "made", n=4, size=SIZES, tasks=names)
    lay_out(made, place / "root", made.label(made.names[1], rows[-1].name))
    return LayoutCase(
        made=made,
        rows=rows,
        root=place / "root",
        missing=(1, rows[-1].name),
        dataset=plugins.create("layouts", subject.name, place / "root"),
        pictures=subject.says("PICTURES", ("*.jpg",)),
    )


LAWS: tuple[Callable[[LayoutCase], None], ...] = (
    ids_are_stable_and_unique,
    images_are_upright_rgb,
    a_label_has_its_image_s_size,
    a_missing_label_is_none,
    labels_are_those_that_were_laid_out,
    splits_are_disjoint_and_of_the_images,
    it_is_the_same_in_another_process,
    a_damaged_image_is_an_error_of_its_own,
)
