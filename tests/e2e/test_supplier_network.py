"""A network that was trained on other rooms supplies labels, and another network learns from them."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import labelgrid
from labelgrid.project.folder import ProjectFolder
from labelgrid.rounds.context import context_of, labelled_images
from labelgrid.suppliers.supplied import pairs
from tests.e2e.commands import done, held_out, status
from tests.projects import RECIPE

COUNT, HELD, BOUGHT = 14, 4, 4
TASKS = ("depth", "normals")
#: With this rate and so many steps, a small network knows more of rooms than nothing.
CHANGES = {"train": {"learning_rate": 2e-2, "steps": 60, "batch": 4}}
TRUST = "\n[changes.suppliers.older]\ntrust = 0.5\n\n[changes.train]\nimages = 'all'\n"


@dataclass(frozen=True)
class Rooms:
    """A project of rooms, some of which have a label, and labels of a network of other rooms."""

    flat: Path
    given: Path


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    folder = tmp_path_factory.mktemp("rooms")
    (folder / "tiny.toml").write_text(RECIPE)
    for seed, name in enumerate(("other", "own")):
        words = ["--count", COUNT, "--size", "48x64", "--samples", 4, "--jobs", 1]
        done("scenes", folder / name, *words, "--seed", seed)
        for path in (folder / name / "labels").iterdir():
            if path.name not in TASKS:
                shutil.rmtree(path)
    recipe = str(folder / "tiny.toml")
    with labelgrid.Project.create(
        folder / "older", folder / "other/images", TASKS, recipe=recipe, changes=CHANGES
    ) as older:
        older.import_labels(folder / "other/labels")
        older.fit()
    given = folder / "given"
    done("predict", folder / "older", folder / "own/images", "--out", given)
    words = ["--holdout", HELD, "--recipe", recipe, "--strategy", "random_tasks"]
    flat = folder / "flat"
    tasks = [word for task in TASKS for word in ("--task", task)]
    done("init", flat, "--images", folder / "own/images", *tasks, *words)
    done("query", flat, "--budget", BOUGHT)
    done("export", flat)
    for request in sorted(flat.glob("rounds/*/request")):
        for row in json.loads((request / "manifest.json").read_text()):
            target = request / row["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            source = folder / "own/labels" / row["task"] / row["image"]
            shutil.copy(source.with_suffix(".png"), target)
        done("import", flat, request)
    yield Rooms(flat, given)


def fitted(rooms: Rooms, name: str, supplier: Path | None) -> Path:
    """A copy of the project, trained with the labels of a supplier or without."""
    flat = Path(shutil.copytree(rooms.flat, rooms.flat.with_name(name)))
    settings = flat / "labelgrid.toml"
    if supplier:
        done("import", flat, supplier, "--supplier", "older", "--cost", 0.01)
        settings.write_text(settings.read_text() + TRUST)
    done("fit", flat)
    return flat


def fit_record(flat: Path) -> dict[str, object]:
    (path,) = flat.glob("rounds/*/fit.json")
    record: dict[str, object] = json.loads(path.read_text())
    return record


def test_the_labels_of_a_network_of_other_rooms_fill_the_gaps(rooms: Rooms) -> None:
    flat = fitted(rooms, "with", rooms.given)
    alone = fitted(rooms, "without", None)
    with_labels, without = fit_record(flat), fit_record(alone)
    assert with_labels["labels"] == without["labels"]
    assert with_labels["spent"] == without["spent"]
    assert not without["filled"]
    train = COUNT - HELD
    filled = with_labels["filled"]
    labels = with_labels["labels"]
    assert isinstance(filled, dict) and isinstance(labels, dict)
    for task in TASKS:
        # Some images only choose the model, and have no supplied labels.
        assert train // 2 < filled[task] + labels.get(task, 0) <= train
    assert with_labels["model"] != without["model"]
    assert status(flat)["suppliers"]["older"]["labels"] == dict.fromkeys(TASKS, train)


def test_no_metric_is_measured_on_supplied_labels(rooms: Rooms) -> None:
    flat = fitted(rooms, "measured", rooms.given)
    index = json.loads((flat / "supplied/older/index.json").read_text())
    for task in TASKS:
        assert not index["labels"][task].keys() & held_out(flat)
    (path,) = flat.glob("rounds/*/heldout.json")
    measured = path.read_bytes()
    path.unlink()
    shutil.rmtree(flat / "supplied")
    settings = flat / "labelgrid.toml"
    settings.write_text(settings.read_text().replace(TRUST, ""))
    done("evaluate", flat)
    assert path.read_bytes() == measured


def test_its_errors_are_known_from_images_with_both_labels(rooms: Rooms) -> None:
    flat = fitted(rooms, "paired", rooms.given)
    with ProjectFolder.open(flat) as project:
        context = context_of(project)
        task = context.definitions["depth"]
        train = labelled_images(project, "train")
        found = list(pairs(project, "older", task, source=context.source, image_ids=train))
    assert found
    errors = [np.abs(given.value - true.value)[true.valid].mean() for _, true, given in found]
    spread = [np.abs(true.value[true.valid]).mean() for _, true, _ in found]
    assert 0 < np.mean(errors) < np.mean(spread)
