"""Cached images are the source's, whatever fits, and nothing is left of the cache."""

import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile as Real
from typing import Any

import numpy as np
import pytest

from labelgrid.basics.errors import ImageError, LabelError
from labelgrid.basics.progress import Silent
from labelgrid.data import cache
from labelgrid.data.cache import CachedSource, cache_source
from labelgrid.data.cameras import Cameras, View
from labelgrid.data.data_options import DataOptions
from labelgrid.data.dataset import camera_of, weight_of
from labelgrid.data.layouts import folder
from labelgrid.data.loader import train_batches
from labelgrid.data.project_source import ProjectSource
from labelgrid.formats.codec import LabelArray
from labelgrid.rounds import fit, query
from labelgrid.select.strategy import Budget
from labelgrid.tasks.task import TaskDef, definitions
from tests.projects import Said, answer, make_project
from tests.support import Made, make_dataset, task_rows

TASKS = definitions(list(task_rows(("semseg", "depth", "normals"))))
#: Of an image and its labels: pixels, values of one byte and of four, and masks.
BYTES = 12 * 16 * (3 + 1 + 4 + 12 + 3)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_dataset(tmp_path / "made", n=5, size=(12, 16), tasks=list(TASKS))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_bitwise_those_of_the_files(made: Made, tmp_path: Path, workers: int) -> None:
    source = folder.build(made.root)
    words: dict[str, Any] = {"batch": 2, "seed": 0, "epoch": 0, "workers": workers}
    options = DataOptions(size=(8, 8), zoom=(0.5, 1.5), jitter=0.5)
    with cache_source(
        source, TASKS, image_ids=made.names[:4], limit=2**30, folder=tmp_path, progress=Said()
    ) as one:
        assert isinstance(one, CachedSource) and list(one.pixels) == list(made.names[:4])
        assert one.images() == source.images()
        found = list(train_batches(one, TASKS, made.names, options, **words))
    wanted = list(train_batches(source, TASKS, made.names, options, **words))
    for batch, other in zip(found, wanted, strict=True):
        assert batch.ids == other.ids and (batch.images == other.images).all()
        assert all((batch.targets[task].value == other.targets[task].value).all() for task in TASKS)
        assert all((batch.targets[task].valid == other.targets[task].valid).all() for task in TASKS)


def test_what_does_not_fit_is_read_from_its_file(made: Made, tmp_path: Path) -> None:
    source, said = folder.build(made.root), Said()
    with cache_source(
        source, TASKS, image_ids=made.names, limit=3 * BYTES, folder=tmp_path, progress=said
    ) as one:
        assert isinstance(one, CachedSource) and list(one.pixels) == list(made.names[:2])
        assert all((one.image(name) == source.image(name)).all() for name in made.names)
        (made.images / made.names[0]).unlink()
        (made.images / made.names[2]).unlink()
        assert one.image(made.names[0]).shape == (12, 16, 3)
        with pytest.raises(ImageError):
            one.image(made.names[2])
    assert said.lines == ["The cache holds 2 of 5 decoded images: its limit is 12.9 KiB."]


def test_a_full_disk_ends_the_cache_not_the_training(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Small:
        """A file whose write of the third image is cut short."""

        def __init__(self, **options: Any) -> None:
            self.file, self.left = Real(**options), 14  # noqa: SIM115

        def __enter__(self) -> "Small":
            return self

        def __exit__(self, *error: object) -> None:
            self.file.close()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

        def write(self, data: Any) -> int:
            self.left -= 1
            return self.file.write(data if self.left >= 0 else bytes(data)[:7])

    monkeypatch.setattr(cache, "TemporaryFile", Small)
    source, said = folder.build(made.root), Said()
    with cache_source(
        source, TASKS, image_ids=made.names, limit=2**30, folder=tmp_path, progress=said
    ) as one:
        assert isinstance(one, CachedSource) and list(one.pixels) == list(made.names[:2])
        assert all((one.image(name) == source.image(name)).all() for name in made.names)
    assert said.lines == ["The cache holds 2 of 5 decoded images: No space left on device."]


def test_damaged_files_are_left_to_whoever_needs_them(made: Made, tmp_path: Path) -> None:
    (made.images / made.names[1]).write_bytes(b"damaged")
    made.label(made.names[2], "depth").write_bytes(b"damaged")
    said = Said()
    with cache_source(
        folder.build(made.root),
        TASKS,
        image_ids=made.names,
        limit=2**30,
        folder=tmp_path,
        progress=said,
    ) as one:
        assert (
            one.image(made.names[2]).shape == (12, 16, 3)
            and one.label(made.names[2], TASKS["semseg"]) is not None
        )
        with pytest.raises(ImageError):
            one.image(made.names[1])
        with pytest.raises(LabelError):
            one.label(made.names[2], TASKS["depth"])
    assert said.lines == ["The cache holds 4 of 5 decoded images: the others cannot be read."]


class Odd(folder.FolderDataset):
    """Weights other than 1.

    Labels with negative numbers, of which only some classes were annotated.
    """

    def weight(self, image_id: str, task: str) -> float:
        return 2.5

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        label = super().label(image_id, task)
        assert label is not None
        if task.name == "semseg":
            return replace(
                label, value=label.value - 3, annotated=np.array([True, False, True, True])
            )
        return replace(label, value=label.value.astype(np.int64) - 300)


def test_weights_cameras_annotated_classes_and_negative_numbers_are_kept(
    made: Made, tmp_path: Path
) -> None:
    plain = folder.build(made.root)
    cameras = Cameras(View(field_of_view=60.0))
    source = Odd(root=plain.root, names=plain.names, whole=plain.whole, cameras=cameras)
    with cache_source(
        source, TASKS, image_ids=made.names, limit=2**30, folder=tmp_path, progress=Said()
    ) as one:
        assert isinstance(one, CachedSource) and weight_of(one, made.names[0], "depth") == 2.5
        camera = camera_of(one, made.names[0], (30, 40))
        assert camera is not None and camera == source.camera(made.names[0], (30, 40))
        for task in TASKS.values():
            mine, own = one.label(made.names[0], task), source.label(made.names[0], task)
            assert mine is not None and own is not None
            assert (mine.value == own.value).all() and mine.value.dtype == own.value.dtype
            assert (mine.annotated is None) == (task.name != "semseg")


def test_what_is_read_may_be_written_to_and_is_the_same_the_next_time(
    made: Made, tmp_path: Path
) -> None:
    with cache_source(
        folder.build(made.root),
        TASKS,
        image_ids=made.names,
        limit=2**30,
        folder=tmp_path,
        progress=Said(),
    ) as one:
        label = one.label(made.names[0], TASKS["depth"])
        assert label is not None
        for array in (one.image(made.names[0]), label.value, label.valid):
            array[...] = 0
        again = one.label(made.names[0], TASKS["depth"])
        assert (
            again is not None
            and again.value.any()
            and again.valid.any()
            and one.image(made.names[0]).any()
        )


def test_no_file_is_seen_and_no_limit_is_no_cache(made: Made, tmp_path: Path) -> None:
    place, source = tmp_path / "project", folder.build(made.root)
    place.mkdir()
    with cache_source(
        source, TASKS, image_ids=made.names, limit=2**30, folder=place, progress=Said()
    ) as one:
        assert not list(place.iterdir())
        assert pickle.loads(pickle.dumps(one)) == source  # noqa: S301 - in another process it is the source
    for limit, images in ((0, made.names), (2**30, ()), (5, made.names)):
        with cache_source(
            source, TASKS, image_ids=images, limit=limit, folder=place, progress=Said()
        ) as plain:
            assert plain is source


def test_a_training_decodes_each_file_once_by_default_and_has_the_weights_of_one_without_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, read = [], Counter[str]()
    whole = ProjectSource.image

    def counted(self: ProjectSource, image_id: str) -> Any:
        read[image_id] += 1
        return whole(self, image_id)

    for name, own in (("plain", {"cache": 0.0}), ("cached", {})):
        (tmp_path / name).mkdir()
        project, made = make_project(tmp_path / name, n=6, holdout=0)
        with project:
            query.query(project, Budget(5, "images"), Silent())
            answer(project, made)
            changes = {"epochs": 3, "val_share": 0.4, "val_every": 1, "workers": 0}
            monkeypatch.setattr(ProjectSource, "image", counted)
            read.clear()
            record = fit.fit(project, Silent(), changes={"train": {**changes, **own}})
            found.append(record.model)
            assert len(read) == 5 and set(read.values()) == ({3} if own else {1})
            read.clear()
            other = 1.0 - own.get("cache", 1.0)
            again = fit.fit(project, Silent(), changes={"train": {**changes, "cache": other}})
            assert (
                again.model == record.model and not read and not list(project.folder.rglob("tmp*"))
            )
            monkeypatch.undo()
    assert found[0] == found[1]
