"""Pseudo-labels in whole rounds: files that are transformed as labels are, and are used where a label is missing."""

import numpy as np
import pytest
import torch

from labelgrid.data.batch import SoftLabel
from labelgrid.data.loader import train_batch
from labelgrid.data.transforms import DataOptions
from labelgrid.labels.codec import LabelArray
from labelgrid.progress import Silent
from labelgrid.project.artifacts import newest_fit
from labelgrid.rounds import fit, query
from labelgrid.select.strategy import Budget
from labelgrid.tasks.task import definitions
from labelgrid.train.loop import fit as train
from tests.plugins.pseudo_labels import Files, PseudoLabels
from tests.projects import answer
from tests.rounds import Killed, copied, fit_killed, labelled
from tests.support import make_dataset
from tests.toys import source_of

NAME = "tests.plugins.pseudo_labels:build"
CHANGES = {"train": {"epochs": 3, "images": "all"}, "terms": {NAME: {}}}


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """A project in its second labelled round, whose first has a model."""
    project, made = labelled(tmp_path_factory.mktemp("second"), images=3)
    with project:
        fit.fit(project, Silent(), changes={"train": {"epochs": 1}})
        query.query(project, Budget(3), Silent())
        answer(project, made)
        yield project


def written(project, number=3):
    """The pseudo-labels of a round's training."""
    terms = project.round_folder(number) / "fit" / "terms"
    return sorted(terms.glob(f"{NAME.replace(':', '-')}.*/**/*.npz"))


def test_what_the_model_of_the_round_before_says_of_cells_without_a_label_becomes_files(second, tmp_path):
    with copied(second, tmp_path / "flat") as project:
        done = fit_killed(project, CHANGES, 3)
        labels = {(c.image_id, c.task) for c in fit.context_of(project).source.labels}
        names = [row.image_id for row in project.store.images(("train",))]
        found = {(p.stem, p.parent.name) for p in written(project)}
        assert found == {(name, task) for name in names for task in project.tasks() if (name, task) not in labels}
        with copied(second, tmp_path / "twin") as twin:
            assert fit.fit(twin, Silent(), changes=CHANGES).model == done.model
        with copied(second, tmp_path / "without") as other:
            assert fit.fit(other, Silent(), changes={**CHANGES, "terms": {NAME: {"weight": 0.0}}}).model != done.model
        assert query.query(project, Budget(4), Silent()).picks


def test_a_killed_preparation_is_not_begun_again(second, tmp_path, monkeypatch):
    with copied(second, tmp_path / "flat") as project:
        real, written = Files.write, []

        def write(self, image, task, label):
            real(self, image, task, label)
            written.append((image, task.name))
            if len(written) == 5:
                raise Killed

        monkeypatch.setattr(Files, "write", write)
        with pytest.raises(Killed):
            fit.fit(project, Silent(), changes=CHANGES)
        done = fit.fit(project, Silent(), changes=CHANGES)
        assert len(written) > 5 and len(set(written)) == len(written)
        monkeypatch.undo()
        with copied(second, tmp_path / "twin") as twin:
            assert fit.fit(twin, Silent(), changes=CHANGES).model == done.model


def test_a_first_round_has_no_model_before_it(tmp_path):
    project, _ = labelled(tmp_path, images=3)
    with project:
        fit.fit(project, Silent(), changes=CHANGES)
        assert newest_fit(project.folder).round == 2 and not written(project, 2)


def test_pseudo_labels_go_through_the_batchs_geometry_as_labels_do(tmp_path):
    """A pseudo-label equal to the label is equal to it in the batch, too; its confidence is transformed with it."""
    made = make_dataset(tmp_path, n=4, size=(48, 40), tasks=("semseg", "depth", "normals"))
    tasks, source = definitions(list(made.rows)), source_of(made)
    options = DataOptions(size=(32, 64), fit="pad", flip=0.5, zoom=(0.7, 1.0, 1.5))

    def same(image, task):
        label, classes = source.label(image, task), source.label(image, tasks["semseg"])
        return SoftLabel(LabelArray(label.value, label.valid), classes.value[..., 0].astype(np.float32) / 10 + 0.1)

    for seed in range(4):
        batch = train_batch(source, tasks, made.names, options, seed=seed, soft={"pseudo": same})
        plain = train_batch(source, tasks, made.names, options, seed=seed, soft={})
        assert torch.equal(batch.images, plain.images)
        for name, target in batch.targets.items():
            soft = batch.soft["pseudo"][name]
            assert torch.equal(soft.target.valid, target.valid) and torch.equal(target.value, plain.targets[name].value)
            assert torch.equal(soft.target.safe(), target.safe())
            assert torch.equal(soft.confidence > 0, target.valid)
            both = target.valid & batch.targets["semseg"].valid
            classes = batch.targets["semseg"].value.float() / 10 + 0.1
            assert torch.equal(soft.confidence[both], classes[both]) and len(classes[both].unique()) > 2


def test_a_confidence_of_nothing_is_no_pseudo_label(second, tmp_path, monkeypatch):
    models = []
    for weight in (1.0, 0.0):
        with copied(second, tmp_path / f"{weight}") as project:
            if weight:
                real = PseudoLabels.label

                def distrusted(self, task, raw, frame, real=real):
                    found = real(self, task, raw, frame)
                    found.confidence[:] = 0
                    return found

                monkeypatch.setattr(PseudoLabels, "label", distrusted)
            context = fit.context_of(project, changes={**CHANGES, "terms": {NAME: {"weight": weight}}})
            plan = fit.plan_of(context, project, fit.new_network(context, project, Silent()))
            train(plan, tmp_path / f"fit-{weight}", Silent())
            models.append(plan.network.state_dict())
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])
