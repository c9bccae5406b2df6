"""The laws of every data set layout, each with a wrong layout that breaks it.

`tests/layouts` writes a synthetic data set in each layout, one file per layout: `LAYOUT` is the
layout's name, `lay_out` writes the files. `ROWS` are its tasks, of which the last has a missing
label; by default semseg and depth.
"""

import importlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from labelgrid.basics import plugins
from labelgrid.basics.errors import ImageError
from labelgrid.data.data_options import DataOptions
from labelgrid.data.dataset import Dataset
from labelgrid.data.loader import train_batches
from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.task import TaskDef, definitions
from tests.contracts import wrong_sources
from tests.support import Made, make_dataset, task_rows

LAYOUTS = sorted(path.stem for path in Path(__file__).parents[1].glob("layouts/*.py"))


@dataclass(frozen=True)
class Case:
    """A data set in a layout.

    Args:
        made: the data set; rows: its tasks; root: its folder; missing: the image and task without a
            label.
        dataset: what the layout's plug-in builds.
    """

    made: Made
    rows: tuple[TaskRow, ...]
    root: Path
    missing: tuple[int, str]
    dataset: Dataset

    @property
    def tasks(self) -> dict[str, TaskDef]:
        return definitions(self.rows)

    @property
    def names(self) -> list[str]:
        """The ids in the order of `made.names`."""
        return sorted(self.dataset.images())


def ids_are_stable_and_unique(case: Case) -> None:
    names = list(case.dataset.images())
    assert names == list(case.dataset.images()) == list(case.dataset.images())
    assert len(set(names)) == len(names) == len(case.made.names)
    assert all(isinstance(name, str) and name for name in names)


def images_are_upright_rgb(case: Case) -> None:
    for name in case.names:
        image = case.dataset.image(name)
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        assert image.shape[:2] in {(16, 24), (12, 20)}


def a_label_has_its_image_s_size(case: Case) -> None:
    found = 0
    for name in case.names:
        for task in case.tasks.values():
            label = case.dataset.label(name, task)
            if label is not None:
                assert label.size == case.dataset.image(name).shape[:2]
                found += 1
    assert found == len(case.names) * len(case.tasks) - 1


def a_missing_label_is_none(case: Case) -> None:
    number, name = case.missing
    assert case.dataset.label(case.names[number], case.tasks[name]) is None
    assert case.dataset.label(case.names[number - 1], case.tasks[name]) is not None


def labels_are_those_that_were_laid_out(case: Case) -> None:
    for name, own in zip(case.names, case.made.names, strict=True):
        for task in case.tasks.values():
            label, truth = (
                case.dataset.label(name, task),
                task.read(case.made.label(own, task.name)),
            )
            if label is not None:
                assert (label.valid == truth.valid).all()
                assert np.allclose(label.value[label.valid], truth.value[truth.valid], atol=3e-3)


def splits_are_disjoint_and_of_the_images(case: Case) -> None:
    splits = case.dataset.splits()
    members = [name for names in splits.values() for name in names]
    assert len(splits) == 2 and len(set(members)) == len(members)
    assert set(members) <= set(case.dataset.images())


def it_is_the_same_in_another_process(case: Case) -> None:
    twin = pickle.loads(pickle.dumps(case.dataset))  # noqa: S301
    assert (
        list(twin.images()) == list(case.dataset.images())
        and twin.splits() == case.dataset.splits()
    )
    options = DataOptions(size=(16, 24))
    words: dict[str, Any] = {"batch": 2, "seed": 0, "epoch": 0}
    near = list(train_batches(case.dataset, case.tasks, case.names, options, **words))
    far = list(train_batches(twin, case.tasks, case.names, options, workers=2, **words))
    assert [batch.ids for batch in near] == [batch.ids for batch in far]
    assert all((a.images == b.images).all() for a, b in zip(near, far, strict=True))


def a_damaged_image_is_an_error_of_its_own(case: Case) -> None:
    for path in (
        *case.root.rglob("*.jpg"),
        *case.root.rglob("image/*.npy"),
        *case.root.rglob("*_leftImg8bit.png"),
    ):
        path.write_bytes(b"no image")
    with pytest.raises(ImageError):
        case.dataset.image(case.names[0])


LAWS: tuple[Callable[[Case], None], ...] = (
    ids_are_stable_and_unique,
    images_are_upright_rgb,
    a_label_has_its_image_s_size,
    a_missing_label_is_none,
    labels_are_those_that_were_laid_out,
    splits_are_disjoint_and_of_the_images,
    it_is_the_same_in_another_process,
    a_damaged_image_is_an_error_of_its_own,
)


def layout(name: str) -> ModuleType:
    return importlib.import_module(f"tests.layouts.{name}")


@pytest.fixture(autouse=True)
def examples(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.syspath_prepend(request.config.rootpath / "examples")


def case_of(name: str, folder: Path) -> Case:
    here = layout(name)
    rows = getattr(here, "ROWS", task_rows(("semseg", "depth")))
    made = make_dataset(
        folder / "made", n=4, size=[(16, 24), (12, 20)], tasks=[row.name for row in rows]
    )
    here.lay_out(made, folder / "root", made.label(made.names[1], rows[-1].name))
    dataset = plugins.resolve("layouts", here.LAYOUT)(folder / "root")
    return Case(made, rows, root=folder / "root", missing=(1, rows[-1].name), dataset=dataset)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_data_set_keeps(tmp_path: Path, law: Callable[[Case], None], name: str) -> None:
    law(case_of(name, tmp_path))


def test_every_layout_of_the_package_is_written_by_the_tests() -> None:
    missing = set(plugins.names("layouts")) - {layout(name).LAYOUT for name in LAYOUTS}
    assert not missing, f"Write tests/layouts/NAME.py for {missing}, so that the laws run on it."


def test_every_law_has_a_data_set_that_breaks_it() -> None:
    assert {law.__name__ for law in LAWS} == set(wrong_sources.BREAKS)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_wrong_data_set_fails_at(tmp_path: Path, law: Callable[[Case], None]) -> None:
    case = case_of("folder", tmp_path)
    wrong = replace(case, dataset=wrong_sources.BREAKS[law.__name__](case.dataset))
    with pytest.raises(
        (AssertionError, AttributeError, pickle.PicklingError, pytest.fail.Exception)
    ):
        law(wrong)
