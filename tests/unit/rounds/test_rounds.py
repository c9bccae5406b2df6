"""A round, step by step: fit, score, query.

Resumed, refused, stale; what is written for people and reports.
"""

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from labelgrid.basics.config import parse, read_toml
from labelgrid.basics.errors import (
    LabelgridError,
    ModelError,
    ProjectError,
    StateError,
    TrainingError,
)
from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import Cell, Move, State, TaskRow
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import newest_fit
from labelgrid.project.settings import Settings, settings_text
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.rounds import context, evaluate, fit, models, predict, query, score
from labelgrid.rounds.round_scores import strategy_of
from labelgrid.select.strategy import Budget
from labelgrid.train.checkpoint import load, save
from tests.projects import Said, answer, make_project

COVERS = [
    "labelgrid.rounds.context",
    "labelgrid.rounds.fit",
    "labelgrid.rounds.predict",
    "labelgrid.rounds.previews",
    "labelgrid.rounds.round_scores",
    "labelgrid.rounds.score",
    "labelgrid.project.sources",
    "labelgrid.rounds.evaluate",
    "labelgrid.rounds.models",
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A project after its first (random) round was labelled and fitted."""
    folder = tmp_path_factory.mktemp("prepared")
    project, made = make_project(
        folder, seed=1
    )  # two epochs give depths above 0 and normals that face the camera
    with project:
        said = Said()
        query.query(project, Budget(9), said)
        assert "There is no model yet" in said.lines[0]
        said = Said()
        query.query(project, Budget(3), said, dry_run=True)
        assert (
            said.lines[1]
            == "9 requests of earlier rounds are still open; the new picks are added to them."
        )
        assert answer(project, made) == 9 + 2 * 3
        fit.fit(project, Silent())
    return folder, made


@pytest.fixture
def project(prepared, tmp_path):
    folder, _ = prepared
    shutil.copytree(folder / "flat", tmp_path / "flat")
    with ProjectFolder.open(tmp_path / "flat") as opened:
        yield opened


def bounds_of(project):
    options = context.context_of(project).recipe.score
    return project.store.get(query.calibration_key(project, *strategy_of(project), options))


def events(project):
    return list(project.store.events())


def test_a_fit_says_what_it_learnt_from_and_never_touches_held_out_images(project):
    done = newest_fit(project.folder)
    held = {row.image_id for row in project.store.images(("heldout",))}
    crew = fit.context_of(project)
    train, val = fit.plan_of(crew, models.restore(project, done)[1].network).train, []
    assert (
        done.round == 2
        and done.labels == {"semseg": 3, "depth": 3, "normals": 3}
        and done.images == 3
    )
    assert (
        not held & set(train)
        and not val
        and done.spent == 9 / 3 * sum(r.cost for r in project.store.tasks())
    )


def test_labels_that_choose_the_model_cost_but_are_not_learnt_from(project):
    done = fit.fit(project, Silent(), changes={"train": {"val_share": 0.7}})
    assert 0 < done.images < 3 and done.labels == dict.fromkeys(
        ("semseg", "depth", "normals"), done.images
    )
    assert done.spent == 9 / 3 * sum(row.cost for row in project.store.tasks())


def test_held_out_figures_are_kept_with_their_cost_apart(project):
    kept = json.loads((project.round_folder(2) / "heldout.json").read_text())
    assert kept["heldout_labels"] == {"semseg": 2, "depth": 2, "normals": 2}
    assert kept["heldout_spent"] == sum(r.cost for r in project.store.tasks()) * 2
    assert np.isfinite(kept["loss_mtl"]) and kept["metrics"]["depth"]["RMSE"]["unit"] == "m"


def test_a_finished_fit_is_found_again_and_a_changed_pool_is_trained_anew(project, prepared):
    first = newest_fit(project.folder)
    assert fit.fit(project, Silent()).model == first.model
    image = next(
        row.image_id
        for row in project.store.images(("train",))
        if project.store.find([Cell(row.image_id, "depth")])[Cell(row.image_id, "depth")].state
        == State.MISSING
    )
    label = prepared[1].label(image, "depth")
    shutil.copy(label, project.folder / "labels" / "extra.png")
    project.store.move(
        [Move(cell=Cell(image, "depth"), to=State.LABELLED, path="labels/extra.png", cost=1.0)]
    )
    said = Said()
    again = fit.fit(project, said)
    assert again.model != first.model and again.labels["depth"] == 4
    assert "restarting the training" in said.lines[0]


def test_a_query_asks_for_the_most_uncertain_cells_and_closes_the_round(project):
    asked = query.query(project, Budget(5), Silent())
    rows = list(project.store.cells(round=2))
    assert asked.strategy == "partal" and len(asked.picks) == 5 == len(rows)
    assert {row.cell for row in rows} == {pick.cell for pick in asked.picks}
    assert all(row.state == State.REQUESTED for row in rows)
    assert project.store.current_round() is None and project.store.rounds()[-1].strategy == "partal"
    bounds = bounds_of(project)
    assert set(bounds) == {"semseg", "depth", "normals"}
    scores = [pick.score for pick in asked.picks]
    assert scores == sorted(scores, reverse=True) and scores[0] == pytest.approx(1.0)


def test_prelabels_and_pictures_of_the_picks_can_be_read(project):
    asked = query.query(project, Budget(5), Silent())
    folder, tasks = project.round_folder(2), project.tasks()
    for pick in asked.picks:
        (path,) = (folder / "prelabels" / pick.cell.task).glob(
            pick.cell.image_id.replace(".jpg", ".*")
        )
        row = project.store.image(pick.cell.image_id)
        assert tasks[pick.cell.task].read(path).size == (row.height, row.width)
    assert len(list((folder / "pictures").glob("*.jpg"))) == 15
    assert [p["task"] for p in json.loads((folder / "picks.json").read_text())] == [
        p.cell.task for p in asked.picks
    ]


def test_a_dry_run_changes_nothing_and_shows_what_the_query_then_does(project):
    before = events(project), project.store.rounds(), bounds_of(project)
    dry = query.query(project, Budget(5), Silent(), dry_run=True)
    assert (events(project), project.store.rounds(), bounds_of(project)) == before
    assert query.query(project, Budget(5), Silent()).picks == dry.picks


def test_stale_scores_are_refused_with_the_command_to_run(project, prepared):
    score.score(project, Silent())
    cell = next(pick.cell for pick in query.query(project, Budget(5), Silent(), dry_run=True).picks)
    project.store.move([Move(cell=cell, to=State.REQUESTED, round=0, request_id="other", cost=1.0)])
    with pytest.raises(
        ProjectError, match=r"The scores are stale: the pool changed(.|\n)*labelgrid score"
    ) as caught:
        query.query(project, Budget(5), Silent())
    assert "Nothing was requested." in str(caught.value)
    score.score(project, Silent())
    assert cell not in {pick.cell for pick in query.query(project, Budget(5), Silent()).picks}


def test_a_task_without_any_label_is_drawn_at_random_and_that_is_said(tmp_path):
    project, made = make_project(tmp_path)
    with project:
        names = [row.image_id for row in project.store.images(("train",))]
        for name in names[:4]:
            shutil.copy(made.label(name, "depth"), project.folder / f"{name}.png")
            project.store.move(
                [Move(cell=Cell(name, "depth"), to=State.LABELLED, path=f"{name}.png", cost=1.0)]
            )
        said = Said()
        done = fit.fit(project, said)
        assert done.trained == ["depth"]
        assert [line.split("'")[1] for line in said.lines] == ["normals", "semseg"]
        asked = query.query(project, Budget(8), Silent())
        assert {pick.cell.task for pick in asked.picks} >= {"semseg", "normals"}
        assert set(bounds_of(project)) == {"depth"}


def test_one_task_alone_goes_the_whole_way(tmp_path):
    project, made = make_project(tmp_path, tasks=("depth",), n=8)
    with project:
        query.query(project, Budget(3), Silent())
        answer(project, made)
        fit.fit(project, Silent())
        assert len(query.query(project, Budget(2), Silent()).picks) == 2


def test_fit_without_a_label_and_score_without_a_fit_are_refused(tmp_path):
    project, _ = make_project(tmp_path)
    with project:
        with pytest.raises(TrainingError, match="There is no label to learn from"):
            fit.fit(project, Silent())
        with pytest.raises(
            ProjectError, match=r"There is no model to score with yet(.|\n)*labelgrid fit"
        ):
            score.score(project, Silent())
        with pytest.raises(ProjectError, match=r"There is no model yet(.|\n)*labelgrid fit"):
            predict.predict(
                project, tmp_path, out=tmp_path / "out", known_labels=None, progress=Silent()
            )


def test_a_budget_too_small_for_a_single_choice_is_refused(project):
    with pytest.raises(LabelgridError, match="does not pay for a single pick of 'random_images'"):
        query.query(project, Budget(1), Silent(), strategy="random_images")
    assert project.store.current_round().number == 2


def test_continuing_starts_from_the_last_rounds_weights(project, prepared):
    query.query(project, Budget(5), Silent())
    answer(project, prepared[1])
    said = Said()
    changes = {"train": {"restart": False, "epochs": 1, "learning_rate": 1e-9, "weight_decay": 0.0}}
    done = fit.fit(project, said, changes=changes)
    assert "Continuing from the weights of round 2." in said.lines
    old = load(project.round_folder(2) / "fit" / "last.ckpt").network
    new = load(project.folder / done.checkpoint).network
    key = next(k for k in old if k.endswith("convolution.weight"))
    np.testing.assert_allclose(old[key], new[key], atol=1e-6)


def test_predictions_are_label_files_at_the_images_size_and_known_labels_change_them(
    project, prepared, tmp_path
):
    _, made = prepared
    plain, fed = tmp_path / "plain", tmp_path / "fed"
    assert (
        predict.predict(project, made.images, out=plain, known_labels=None, progress=Silent())
        == 3 * 10
    )
    depth = tmp_path / "known" / "depth"
    shutil.copytree(made.labels / "depth", depth)
    predict.predict(project, made.images, out=fed, known_labels=depth.parent, progress=Silent())
    tasks = project.tasks()
    for row in project.store.images():
        for name, task in tasks.items():
            first = next((plain / name).glob(row.image_id.replace(".jpg", ".*")))
            assert task.read(first).size == (row.height, row.width)
            second = next((fed / name).glob(row.image_id.replace(".jpg", ".*")))
            if name == "depth":
                assert first.read_bytes() == second.read_bytes()
    assert any(
        p.read_bytes() != (fed / p.relative_to(plain)).read_bytes()
        for p in (plain / "normals").iterdir()
    )


def test_metrics_of_a_folder_equal_those_of_the_ledgers_split(project, prepared):
    split = evaluate.evaluate_split(project, "heldout", Silent())
    held = [row.image_id for row in project.store.images(("heldout",))]
    made = prepared[1]
    labels = project.folder.parent / "given"
    for task in ("semseg", "depth", "normals"):
        (labels / task).mkdir(parents=True)
        for name in held:
            shutil.copy(made.label(name, task), labels / task)
    folder = evaluate.evaluate_folder(project, labels, Silent())
    assert folder["labels"] == split["labels"] and folder["loss_mtl"] == pytest.approx(
        split["loss_mtl"], rel=1e-3
    )
    with pytest.raises(ProjectError, match="The val split has no label"):
        evaluate.evaluate_split(project, "val", Silent())
    with pytest.raises(ProjectError, match="No image has a label in the folder"):
        evaluate.evaluate_folder(project, project.folder / "rounds", Silent())


def test_a_checkpoint_that_is_not_the_one_that_was_trained_is_refused(project):
    path = project.folder / newest_fit(project.folder).checkpoint
    kept = load(path)
    next(iter(kept.network.values())).add_(1)
    save(kept, path)
    with pytest.raises(ModelError, match="not the one that was recorded after the training"):
        score.score(project, Silent())


def test_a_change_on_the_command_line_leaves_the_settings_other_changes(project):
    project.settings = replace(project.settings, changes={"train": {"batch": 2, "epochs": 3}})
    train = fit.context_of(project, changes={"train": {"epochs": 7}}).recipe.train
    assert (train.batch, train.epochs) == (2, 7)


def test_a_share_of_the_labelled_images_can_be_kept_for_model_choice(project):
    crew = replace(
        fit.context_of(project, changes={"train": {"val_share": 0.5}}), seed=0
    )  # both shares have images
    plan = fit.plan_of(crew, models.network_of(crew, None))
    assert plan.val and plan.train and not set(plan.val) & set(plan.train)


def test_picks_from_a_pool_that_changed_meanwhile_are_not_requested(project, monkeypatch):
    real = query.choose

    def meanwhile(*arguments, **named):
        choice = real(*arguments, **named)
        project.store.move(
            [
                Move(
                    cell=choice.picks[-1].cell,
                    to=State.REQUESTED,
                    round=0,
                    request_id="other",
                    cost=1.0,
                )
            ]
        )
        return choice

    monkeypatch.setattr(query, "choose", meanwhile)
    with pytest.raises(
        StateError, match=r"Another command changed the pool(.|\n)*Run the same command again"
    ):
        query.query(project, Budget(5), Silent())
    assert not (project.round_folder(2) / "picks.json").exists() and not list(
        project.store.cells(round=2)
    )


def test_adding_a_task_after_a_fit_trains_anew_and_goes_on(project):
    project.store.add_task(TaskRow("edges", "edges", 5.0))
    with pytest.raises(ModelError, match="was trained for other tasks"):
        score.score(project, Silent())
    said = Said()
    done = fit.fit(project, said)
    assert "restarting the training" in said.lines[0] and "edges" not in done.trained
    assert "edges" in {pick.cell.task for pick in query.query(project, Budget(20), Silent()).picks}


def test_continuing_takes_over_what_fits_when_a_task_is_new(project, prepared):
    query.query(project, Budget(5), Silent())
    project.store.add_task(TaskRow("edges", "edges", 5.0))
    said = Said()
    fit.fit(project, said, changes={"train": {"restart": False, "epochs": 1}})
    assert (
        said.lines[0] == "Continuing from the weights of round 2."
        and "start from random weights" in said.lines[1]
    )


def test_what_does_not_shape_the_weights_may_change_between_fits(project):
    first = newest_fit(project.folder)
    said = Said()
    again = fit.fit(
        project, said, changes={"train": {"workers": 1}, "score": {"dropout": {"passes": 3}}}
    )
    assert again.model == first.model and not said.lines


def test_a_fit_during_which_a_query_closed_the_round_is_kept(project, monkeypatch):
    real = fit._remove_outdated_fit

    def meanwhile(*arguments, **named):
        query.query(project, Budget(2), Silent(), strategy="random_cells")
        real(*arguments, **named)

    monkeypatch.setattr(fit, "_remove_outdated_fit", meanwhile)
    done = fit.fit(project, Silent(), changes={"train": {"epochs": 3}})
    assert done.round == 2 and newest_fit(project.folder) == done


def test_a_fit_stopped_while_it_was_measured_is_not_lost(project, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(fit, "measure_heldout", stopped)
    with pytest.raises(KeyboardInterrupt):
        fit.fit(project, Silent(), changes={"train": {"epochs": 3}})
    assert newest_fit(project.folder).recipe["train"]["epochs"] == 3


def test_a_strategy_without_needs_leaves_the_rounds_scores_alone(project):
    score.score(project, Silent())
    path = project.round_folder(2) / "scores" / "scores.parquet"
    before = path.read_bytes()
    score.score(project, Silent(), "random_cells")
    assert path.read_bytes() == before


def test_predictions_of_two_images_of_one_stem_do_not_overwrite_each_other(
    project, prepared, tmp_path
):
    made = prepared[1]
    images = tmp_path / "two"
    images.mkdir()
    shutil.copy(made.images / made.names[0], images / "a.jpg")
    cv2.imwrite(str(images / "a.png"), cv2.imread(str(made.images / made.names[1])))
    predict.predict(project, images, out=tmp_path / "out", known_labels=None, progress=Silent())
    assert sorted(p.name for p in (tmp_path / "out" / "depth").iterdir()) == [
        "a.jpg.png",
        "a.png.png",
    ]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"objective": {"weights": {"semsge": 5.0}}},
            "objective.weights names semsge, which is not a task",
        ),
        ({"score": {"dropuot": {}}}, "no statistic 'dropuot'"),
        ({"score": {"dropout": {"rate": 1.0}}}, "rate: input should be less than 1; it is 1.0"),
        (
            {"score": {"dropout": {"passes": 0}}},
            "passes: input should be greater than or equal to 1; it is 0",
        ),
        ({"train": {"batch": 0}}, "batch must be from 1 to"),
        ({"train": {"learning_rate": -1.0}}, "learning_rate must be from 0 to 100; it is -1"),
        ({"train": {"device": "gpuu"}}, "train.device"),
        ({"train": {"choose": "best"}}, "choose = 'best' needs val_every"),
        ({"network": {"options": {"width": 6}}}, "width must be a multiple of 4"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_before_any_work(project, changes, fault):
    with pytest.raises(LabelgridError, match=fault):
        fit.fit(project, Silent(), changes=changes)
    assert newest_fit(project.folder).round == 2


def test_changes_given_from_python_are_in_the_settings(tmp_path):
    settings = Settings(
        changes={"train": {"epochs": 3, "learning_rate": 1e-30}},
        strategy=PluginChoice("partal", {"unit": "images"}),
    )
    (tmp_path / "labelgrid.toml").write_text(settings_text(settings))
    assert parse(Settings, read_toml(tmp_path / "labelgrid.toml"), "") == settings
