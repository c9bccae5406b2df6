"""Pseudo-labels in whole rounds: files of the round that a killed preparation does not make again."""

import numpy as np
import pytest
import torch

from labelgrid.basics.progress import Silent
from labelgrid.project.records import newest_fit
from labelgrid.rounds import fit, query
from labelgrid.rounds.models import restore
from labelgrid.select.strategy import Budget
from labelgrid.train.loop import fit as train
from labelgrid.train.terms.pseudo_labels import Files
from tests.projects import answer
from tests.rounds import Killed, copied, fit_killed, labelled

CHANGES = {"train": {"epochs": 3, "images": "all"}, "terms": {"pseudo_labels": {"confidence": 0.1}}}


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """A project in its second labelled round, whose first has a model."""
    project, made = labelled(tmp_path_factory.mktemp("second"), images=3)
    with project:
        fit.fit(project, Silent(), changes={"train": {"epochs": 1}})
        query.query(project, Budget(3), Silent())
        answer(project, made)
        yield project


@pytest.fixture(scope="module")
def whole(second, tmp_path_factory):
    """A copy with a training that nobody killed, and the training. Nobody changes it."""
    with copied(second, tmp_path_factory.mktemp("whole") / "flat") as project:
        yield project, fit.fit(project, Silent(), changes=CHANGES)


def written(project, number=3):
    """The pseudo-labels of a round's training."""
    return sorted((project.round_folder(number) / "fit" / "terms").glob("pseudo_labels.*/**/*.npz"))


def test_what_the_model_of_the_round_before_says_of_cells_without_a_label_becomes_files(
    second, whole, tmp_path
):
    with copied(second, tmp_path / "flat") as project:
        done = fit_killed(project, CHANGES, 3)
        labels = {(c.image_id, c.task) for c in fit.context_of(project).source.labels}
        names = [row.image_id for row in project.store.images(("train",))]
        found = {(p.stem, p.parent.name) for p in written(project)}
        assert found == {
            (name, task) for name in names for task in project.tasks() if (name, task) not in labels
        }
        assert whole[1].model == done.model
        with copied(second, tmp_path / "without") as other:
            without = {**CHANGES, "terms": {"pseudo_labels": {"weight": 0.0}}}
            assert fit.fit(other, Silent(), changes=without).model != done.model
        assert query.query(project, Budget(4), Silent()).picks


def test_images_without_any_label_get_none_unless_the_recipe_trains_on_all(second, tmp_path):
    with copied(second, tmp_path / "flat") as project:
        fit.fit(project, Silent(), changes={"train": {"epochs": 1}, "terms": {"pseudo_labels": {}}})
        partly = {c.image_id for c in fit.context_of(project).source.labels}
        assert written(project) and {p.stem for p in written(project)} <= partly


def test_a_killed_preparation_is_not_begun_again(second, whole, tmp_path, monkeypatch):
    with copied(second, tmp_path / "flat") as project:
        real, made = Files.write, []

        def write(self, image, task, label):
            real(self, image, task, label)
            made.append((image, task.name))
            if len(made) == 5:
                raise Killed

        monkeypatch.setattr(Files, "write", write)
        with pytest.raises(Killed):
            fit.fit(project, Silent(), changes=CHANGES)
        done = fit.fit(project, Silent(), changes=CHANGES)
        assert len(made) > 5 and len(set(made)) == len(made)
        monkeypatch.undo()
        assert whole[1].model == done.model
        for one, other in zip(written(project), written(whole[0]), strict=True):
            with np.load(one) as first, np.load(other) as same:
                assert all(
                    np.array_equal(first[name], same[name], equal_nan=True) for name in first
                )


def test_a_first_round_has_no_model_before_it(tmp_path):
    project, _ = labelled(tmp_path, images=3)
    with project:
        fit.fit(project, Silent(), changes=CHANGES)
        assert newest_fit(project.folder).round == 2 and not written(project, 2)


def test_a_restored_model_says_of_which_tasks_it_had_labels(second):
    assert restore(second, newest_fit(second.folder))[1].trained == frozenset(second.tasks())


def test_without_a_trusted_pixel_the_network_is_that_without_pseudo_labels(second, tmp_path):
    models = []
    for options in ({"confidence": 1.0, "certain": 0.0}, {"weight": 0.0}):
        with copied(second, tmp_path / str(len(models))) as project:
            context = fit.context_of(
                project, changes={**CHANGES, "terms": {"pseudo_labels": options}}
            )
            plan = fit.plan_of(context, fit.new_network(context, Silent()))
            train(plan, tmp_path / f"fit-{len(models)}", Silent())
            models.append(plan.network.state_dict())
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])
