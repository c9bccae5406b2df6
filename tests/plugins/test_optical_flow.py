"""A kind of task in one file keeps the laws of tasks and goes through a round that is killed in the middle."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from labelgrid.basics.progress import Silent
from labelgrid.data.data_options import DataOptions
from labelgrid.data.loader import train_batches
from labelgrid.formats.codec import LabelArray
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import TaskRow
from labelgrid.operations import create
from labelgrid.operations.export import export
from labelgrid.pixel.target import Target
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.settings import Settings
from labelgrid.project.sources import source_of
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.rounds import evaluate, query
from labelgrid.rounds.context import labelled_images
from labelgrid.select.strategy import Budget
from labelgrid.tasks.pictures import colour_map
from labelgrid.tasks.placement import Placement
from labelgrid.tasks.task import TaskDef
from labelgrid.testing import worlds
from tests.plugins import optical_flow
from tests.projects import RECIPE
from tests.stopping import round_of
from tests.support import make_dataset, make_scene

KIND = "tests.plugins.optical_flow:build"
ROW = TaskRow("motion", KIND, 4.0, {"metrics": {"EPE": {}, "Fl": {}}})
FLOW = TaskDef.of(ROW)


#: Away from the middle of an image of 32x64 pixels.
AWAY = np.stack(np.meshgrid(np.linspace(-1, 1, 64), np.linspace(-1, 1, 32)), -1)


def motion(mirrored: bool, zoom: float) -> NDArray[np.generic]:
    """The flow in the synthetic scene if the camera moves sideways: near objects move farther."""
    side = -1 if mirrored else 1
    depth = worlds.depth(mirrored, zoom).astype(np.float32)
    return np.concatenate([side * 6 / depth, -2 / depth], 2).astype(np.float32)


def forgets_the_sign(value: Any, valid: Any, geometry: Placement, options: Any) -> Any:
    right, known = optical_flow.moved(value, valid, geometry, options)
    return right * (np.array([-1, 1], np.float32) if geometry.flip else 1), known


def forgets_the_zoom(value: Any, valid: Any, geometry: Placement, options: Any) -> Any:
    return optical_flow.moved(value / np.float32(geometry.zoom), valid, geometry, options)


def test_flow_keeps_the_laws_of_tasks(tmp_path: Path) -> None:
    worlds.views_show_the_world(FLOW, motion)
    valid = np.random.default_rng(0).random(worlds.SIZE) < 0.7
    worlds.a_flip_undone_is_the_label(FLOW, LabelArray(motion(False, 1.0), valid))
    raw = 5 * torch.randn(1, 2, 6, 7)
    raw[0, 1, 2, 3] = torch.nan
    worlds.a_prediction_survives_the_label_file(FLOW, FLOW.build(), raw, tmp_path)


@pytest.mark.parametrize("wrong", [forgets_the_sign, forgets_the_zoom])
def test_a_flow_whose_view_forgets_a_sign_or_a_zoom_is_found(wrong: Any) -> None:
    broken = dataclasses.replace(FLOW, spec=dataclasses.replace(FLOW.spec, transform=wrong))
    with pytest.raises(AssertionError, match="of the values are the world's"):
        worlds.views_show_the_world(broken, motion)


def test_the_chosen_metrics_are_the_papers() -> None:
    metric = FLOW.build().metric()
    truth = torch.tensor([[30.0, 0], [100, 0], [5, 0]]).T.view(1, 2, 1, 3)
    off = torch.tensor([[0.0, 4], [0, 4], [3, 4]]).T.view(1, 2, 1, 3)
    metric.update(truth + off, Target(truth, torch.ones(1, 1, 1, 3, dtype=torch.bool)))
    figures = metric.compute()
    assert figures["EPE"].value == pytest.approx(13 / 3)
    assert figures["Fl"].value == pytest.approx(200 / 3)  # the second is off by less than 5 %
    assert list(TaskDef.of(TaskRow("motion", KIND, 1.0)).build().metric().compute()) == ["EPE"]


def test_directions_have_colours_of_their_own() -> None:
    picture = colour_map(FLOW, np.array([[[5.0, 0], [-5, 0], [0, 5], [0, 0]]]))[0].tolist()
    assert len({tuple(colour) for colour in picture}) == 4 and picture[3] == [255, 255, 255]


def project_of(folder: Path) -> tuple[ProjectFolder, Path]:
    """A project of scenes with the tasks depth and flow.

    The flow is that of a forward camera motion.
    """
    made = make_dataset(folder / "made", n=8, size=(32, 64), tasks=("depth",))
    for i, name in enumerate(made.names):
        depth = make_scene(np.random.default_rng([0, i]), (32, 64)).depth
        path = made.labels / "motion" / f"{Path(name).stem}.npy"
        path.parent.mkdir(exist_ok=True)
        np.save(path, (AWAY * 20 / depth[..., None]).astype(np.float32))
    (folder / "tiny.toml").write_text(RECIPE)
    settings = Settings(
        recipe=str((folder / "tiny.toml").absolute()), strategy=PluginChoice("partal")
    )
    rows = [*made.rows, ROW]
    return create.create(
        folder / "flat", [made.images], tasks=rows, settings=settings, progress=Silent(), holdout=2
    ), made.labels


def answer_from(labels: Path, project: ProjectFolder) -> int:
    out = project.folder.parent / "request"
    export(project, out)
    wanted = json.loads((out / "manifest.json").read_text())
    for row in wanted:
        file = next((labels / row["task"]).glob(f"{Path(row['image']).stem}.*"))
        (out / row["path"]).parent.mkdir(parents=True, exist_ok=True)
        (out / row["path"]).write_bytes(file.read_bytes())
    import_labels(project, out)
    return len(wanted)


def test_a_round_of_flow_killed_in_its_training_is_the_round_that_was_not(tmp_path: Path) -> None:
    changes = {"train": {"epochs": 3}, "data": {"zoom": [1.0, 1.3]}}
    results = []
    for name, kill in (("killed", 2), ("whole", 0)):
        (tmp_path / name).mkdir()
        project, labels = project_of(tmp_path / name)
        with project:
            done, picks = round_of(
                project, lambda p, labels=labels: answer_from(labels, p), changes, kill
            )
            figures = evaluate.evaluate_split(project, "heldout", Silent())["metrics"]["motion"]
            prelabels = sorted(project.round_folder(2).glob("prelabels/motion/*.npy"))
            results.append(
                (done.model, picks, figures, [FLOW.read(path).value for path in prelabels])
            )
    (model, picks, figures, flows), (same_model, same_picks, same_figures, _) = results
    assert (model, picks, figures) == (same_model, same_picks, same_figures)
    assert len(picks) == 3 and any("motion" in pick for pick in picks)
    assert list(figures) == ["EPE", "Fl"] and np.isfinite(figures["EPE"]["value"])
    assert len(flows) == sum("motion" in pick for pick in picks)
    assert all(flow.shape[2] == 2 and np.isfinite(flow).all() for flow in flows)


def test_the_batches_of_a_flipped_training_show_things_that_move_the_other_way(
    tmp_path: Path,
) -> None:
    project, labels = project_of(tmp_path)
    with project:
        query.query(project, Budget(2, "images"), Silent())
        answer_from(labels, project)
        source, names = source_of(project), labelled_images(project, "train")
        plain, flipped, zoomed = (
            next(
                train_batches(source, {"motion": FLOW}, names, options, batch=2, seed=0, epoch=0)
            ).targets["motion"]
            for options in (
                DataOptions(size=(32, 64), flip=0),
                DataOptions(size=(32, 64), flip=1),
                DataOptions(size=(32, 64), flip=0, zoom=(2.0,), at="centre"),
            )
        )
    torch.testing.assert_close(
        flipped.value.flip(3) * torch.tensor([-1, 1]).view(2, 1, 1), plain.value
    )
    torch.testing.assert_close(zoomed.value[:, :, ::2, ::2], 2 * plain.value[:, :, 8:24, 16:48])
