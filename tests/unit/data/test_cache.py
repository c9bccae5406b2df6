"""Cached images are the source's, whatever fits, and nothing is left of the cache."""

import pickle
from pathlib import Path
from tempfile import TemporaryFile as Real
from typing import Any

import numpy as np
import pytest

from labelgrid.data import cache, folder
from labelgrid.data.cache import CachedSource, cached
from labelgrid.data.loader import train_batches
from labelgrid.data.transforms import DataOptions
from labelgrid.errors import ImageError
from labelgrid.progress import Silent
from labelgrid.rounds import fit, query
from labelgrid.select.strategy import Budget
from labelgrid.tasks.task import definitions
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
    with cached(source, TASKS, made.names[:4], 2**30, tmp_path, Said()) as one:
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
    with cached(source, TASKS, made.names, 3 * BYTES, tmp_path, said) as one:
        assert isinstance(one, CachedSource) and list(one.pixels) == list(made.names[:2])
        assert all((one.image(name) == source.image(name)).all() for name in made.names)
        (made.images / made.names[0]).unlink()
        (made.images / made.names[2]).unlink()
        assert one.image(made.names[0]).shape == (12, 16, 3)
        with pytest.raises(ImageError):
            one.image(made.names[2])
    assert said.lines == ["The cache holds 2 of 5 decoded images: its limit is 1.23e-05 GiB."]


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
    with cached(source, TASKS, made.names, 2**30, tmp_path, said) as one:
        assert isinstance(one, CachedSource) and list(one.pixels) == list(made.names[:2])
        assert all((one.image(name) == source.image(name)).all() for name in made.names)
    assert said.lines == ["The cache holds 2 of 5 decoded images: No space left on device."]


def test_a_damaged_image_is_left_to_whoever_needs_it(made: Made, tmp_path: Path) -> None:
    (made.images / made.names[1]).write_bytes(b"damaged")
    with cached(folder.build(made.root), TASKS, made.names, 2**30, tmp_path, Said()) as one:
        assert one.image(made.names[2]).shape == (12, 16, 3)
        with pytest.raises(ImageError):
            one.image(made.names[1])


def test_no_file_is_seen_and_no_limit_is_no_cache(made: Made, tmp_path: Path) -> None:
    place, source = tmp_path / "project", folder.build(made.root)
    place.mkdir()
    with cached(source, TASKS, made.names, 2**30, place, Said()) as one:
        assert not list(place.iterdir())
        assert pickle.loads(pickle.dumps(one)) == source  # noqa: S301 - in another process it is the source
        assert np.shares_memory(one.image(made.names[0]), one.image(made.names[0]))
    for limit, images in ((0, made.names), (2**30, ()), (5, made.names)):
        with cached(source, TASKS, images, limit, place, Said()) as plain:
            assert plain is source


def test_a_training_with_the_cache_has_the_same_weights_and_can_be_resumed_without_it(tmp_path: Path) -> None:
    found = []
    for name, gigabytes in (("plain", 0.0), ("cached", 1.0)):
        (tmp_path / name).mkdir()
        project, made = make_project(tmp_path / name, n=5, holdout=0)
        with project:
            query.query(project, Budget(3, "images"), Silent())
            answer(project, made)
            record = fit.fit(project, Silent(), changes={"train": {"epochs": 2, "cache": gigabytes}})
            found.append(record.model)
            again = fit.fit(project, Silent(), changes={"train": {"epochs": 2, "cache": 1.0 - gigabytes}})
            assert again.model == record.model and not list(project.folder.glob("tmp*"))
    assert found[0] == found[1]
