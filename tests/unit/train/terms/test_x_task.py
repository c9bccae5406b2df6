"""X-task: its mappings are trained before, also after a kill, and then frozen.

Which pairs have one; bad input.
"""

from dataclasses import replace

import pytest
import torch

from labelgrid.basics.errors import ModelError, ProjectError, TrainingError
from labelgrid.basics.progress import Silent
from labelgrid.testing.trainings import dataset, different
from labelgrid.train.checkpoint import load, save
from labelgrid.train.terms import x_task
from labelgrid.train.terms.x_task import Options, Unfinished
from tests.unit.train.terms.stepped import (
    ONE,
    Said,
    alone,
    garbage,
    step_of,
    training_of,
    with_gradients,
    without_depth,
)

NARROW = Options(width=2, steps=3, learning_rate=1e-2)
#: Two mappings, where it does not matter how many there are.
TWO = replace(NARROW, listed=(("normals", "depth"), ("depth", "semseg")))


def prepared(folder, options=NARROW, progress=None, **changes):
    training = training_of(folder, x_task, options, **changes)
    training.prepare(folder / "terms", progress or Silent(), resumed=False)
    return training, training.plan.terms["it"]


def everything(term):
    """Copies of a term's parameters and buffers, also of those that its state leaves out."""
    return {
        name: value.clone() for name, value in (*term.named_parameters(), *term.named_buffers())
    }


def without(folder, **missing):
    """A data set without some images' labels of a task, by the images' numbers."""
    made = dataset(folder)
    for task, images in missing.items():
        for image in images:
            made.label(made.names[image], task).unlink()
    return made


def test_the_training_changes_no_parameter_and_no_buffer_of_its_mappings(tmp_path):
    training, term = prepared(tmp_path)
    before = everything(term)
    assert term.trained.sum() == 6
    training.run_epoch(Silent())
    assert not different(before, everything(term))
    optimised = {id(p) for group in training.optimiser.param_groups for p in group["params"]}
    assert not optimised & {id(p) for p in term.parameters()} and not any(
        p.requires_grad for p in term.parameters()
    )


def test_checkpoints_hold_a_digest_of_the_mappings_and_a_resumed_training_reads_their_file(
    tmp_path,
):
    training, term = prepared(tmp_path, TWO)
    training.run_epoch(Silent())
    save(training.checkpoint(), tmp_path / "last.ckpt")
    kept = load(tmp_path / "last.ckpt").parts["it"]
    assert {name: value.numel() for name, value in kept.items()} == {"trained": 9, "stamp": 8}
    other = training_of(tmp_path, x_task, TWO)
    assert other.resume(tmp_path / "last.ckpt")
    other.prepare(tmp_path / "terms", Silent(), resumed=True)
    resumed = other.plan.terms["it"]
    assert not different(everything(term), everything(resumed)) and not any(
        p.requires_grad for p in resumed.parameters()
    )


def missing(path):
    path.unlink()


def of_another_seed(path):
    kept = torch.load(path, weights_only=True)
    torch.save(kept | {"maps": {name: value + 1 for name, value in kept["maps"].items()}}, path)


@pytest.mark.parametrize("spoil", [missing, of_another_seed])
def test_a_training_is_not_resumed_with_other_mappings(tmp_path, spoil):
    training, _ = prepared(tmp_path, TWO)
    training.run_epoch(Silent())
    save(training.checkpoint(), tmp_path / "last.ckpt")
    (path,) = (tmp_path / "terms").glob("*/maps")
    spoil(path)
    other = training_of(tmp_path, x_task, TWO)
    other.resume(tmp_path / "last.ckpt")
    with pytest.raises(
        ModelError, match=r"mappings of 'x_task' are (missing|not those)(.|\n)*labelgrid fit"
    ):
        other.prepare(tmp_path / "terms", Silent(), resumed=True)


def test_predictions_of_labelled_tasks_alone_get_gradients(tmp_path):
    training, term = prepared(
        tmp_path, replace(NARROW, width=8)
    )  # narrower ones may pass no gradient at all by chance
    assert torch.equal(with_gradients(step_of(training), term), ONE)


def test_the_mappings_learn_to_predict_another_tasks_labels(tmp_path):
    losses = []
    for steps in (1, 20):
        options = Options(width=4, steps=steps, learning_rate=6e-2, listed=(("normals", "depth"),))
        training, term = prepared(tmp_path / str(steps), options)
        batch = step_of(training, torch.ones_like(ONE)).batch
        term.maps.fix(fixed=False)
        raw = term.maps.networks["normals>depth"](
            x_task.label_maps(term.tasks["normals"], batch.targets["normals"])
        )
        losses.append(term.tasks["depth"].loss(raw, batch.targets["depth"]).mean().item())
    assert losses[1] < 0.5 * losses[0]


class Killed(Said):
    """Ends the preparation after some steps."""

    def __init__(self, steps):
        super().__init__()
        self.left = steps

    def advance(self, amount=1, note=""):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.parametrize("every", [0.0, 1e9], ids=["saved", "not-saved"])
def test_a_preparation_that_is_killed_ends_with_the_same_mappings(tmp_path, monkeypatch, every):
    monkeypatch.setattr(x_task, "SAVE_EVERY", every)
    options, said = replace(TWO, steps=7), Said()
    _, whole = prepared(tmp_path / "whole", options, batch=2)
    with pytest.raises(KeyboardInterrupt):  # after one of the three batches of an epoch
        prepared(tmp_path / "cut", options, Killed(4), batch=2)
    _, cut = prepared(tmp_path / "cut", options, said, batch=2)
    assert said.total == (7 if every else 3)
    assert not different(everything(whole), everything(cut))
    _, again = prepared(tmp_path / "cut", options, said, batch=2)
    assert said.total == 0 and not different(everything(whole), everything(again))


def test_the_mappings_train_as_many_steps_as_the_network_unless_told_otherwise(tmp_path):
    said = Said()
    training, _ = prepared(tmp_path, replace(TWO, steps=0), said, batch=2)
    assert said.total == training.plan.steps > 3


def test_a_damaged_state_is_refused(tmp_path):
    prepared(tmp_path, TWO)
    (path,) = (tmp_path / "terms").glob("*/maps")
    path.write_bytes(b"garbage")
    with pytest.raises(ModelError, match=r"cannot be read(.|\n)*Remove the file"):
        prepared(tmp_path, TWO)


def test_images_without_two_labels_are_refused_before_any_training(tmp_path):
    made = without(tmp_path / "data", semseg=(0, 1, 2, 3), depth=(4, 5, 0, 1), normals=(2, 3, 4, 5))
    with pytest.raises(
        TrainingError,
        match=r"'x_task' learns from images with labels of two tasks(.|\n)*Nothing was",
    ):
        prepared(tmp_path, made=made)
    assert not list((tmp_path / "terms").glob("*/*"))


def test_pairs_that_no_image_has_labels_of_are_left_out_and_named(tmp_path):
    made, said = without(tmp_path / "data", depth=(0, 1, 2), normals=(3, 4, 5)), Said()
    training, term = prepared(tmp_path, progress=said, made=made)
    assert said.lines == [
        f"The term 'x_task' leaves out {pair}: no image that it read has both labels."
        for pair in ("depth to normals", "normals to depth")
    ]
    assert (~term.trained & term.allowed).nonzero().tolist() == [[1, 2], [2, 1]]
    ran = []
    for name, network in term.maps.networks.items():
        network.register_forward_pre_hook(lambda *_, name=name: ran.append(name))
    term.loss(step_of(training))
    assert {*ran} == {"semseg>depth", "semseg>normals", "depth>semseg", "normals>semseg"}


def test_mappings_that_diverge_are_an_error_with_advice(tmp_path):
    training = training_of(tmp_path, x_task, NARROW)
    for parameter in training.plan.terms["it"].parameters():
        parameter.fill_(1e38)
    with pytest.raises(
        TrainingError, match=r"x_task's mapping from .* is (nan|inf)(.|\n)*learning_rate"
    ):
        training.prepare(tmp_path / "terms", Silent(), resumed=False)


def test_before_its_preparation_it_does_nothing(tmp_path):
    training = training_of(tmp_path, x_task, NARROW)
    assert not training.plan.terms["it"].loss(step_of(training))["distance"].any()


def test_a_batch_without_any_label_has_no_loss_and_trains(tmp_path):
    training, term = prepared(tmp_path)
    step = step_of(training, torch.zeros_like(ONE))
    found = term.loss(step)["distance"]
    assert found.shape == (6,) and not found.any()
    training.train_step(step.batch, 0)


def test_an_image_has_the_same_distance_alone(tmp_path):
    training, term = prepared(tmp_path)
    step, found = step_of(training), []
    for labelled in (ONE, ONE & (torch.arange(6) == 1)[:, None]):
        targets = {
            name: t.where(labelled[:, i]) for i, (name, t) in enumerate(step.batch.targets.items())
        }
        found.append(
            term.loss(replace(step, batch=replace(step.batch, targets=targets)))["distance"]
        )
    torch.testing.assert_close(found[0][1], found[1][1])
    assert (found[1] > 0).tolist() == [i == 1 for i in range(6)]


def test_a_depth_map_without_a_valid_pixel_is_no_label_and_values_of_missing_labels_have_no_effect(
    tmp_path,
):
    training, term = prepared(tmp_path)
    found = term.loss(step_of(training, change=without_depth))["distance"]
    assert torch.isfinite(found).all() and (found > 0).tolist() == (~ONE[:, 1]).tolist()
    losses = [
        term.loss(step_of(training, change=change))["distance"]
        for change in (lambda targets: targets, garbage)
    ]
    assert torch.equal(*losses)


def test_with_one_task_it_does_nothing_and_says_so(tmp_path):
    alone(tmp_path, x_task, NARROW)


def parts(seed):
    torch.manual_seed(seed)
    layer = torch.nn.Linear(2, 1)
    optimiser = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    return {"layer": layer, "optimiser": optimiser}


def test_the_position_and_all_states_come_back(tmp_path):
    path = tmp_path / "new folder" / "state"
    assert Unfinished(path, parts(0)).resume() is None
    Unfinished(path, parts(0)).save((5, 1, 2), now=True)
    other = parts(1)
    assert Unfinished(path, other).resume() == (5, 1, 2)
    wanted = parts(0)
    assert torch.equal(other["layer"].weight, wanted["layer"].weight)
    for kept, one in zip(
        *(p["optimiser"].state_dict()["state"].values() for p in (other, wanted)), strict=True
    ):
        assert torch.equal(kept["exp_avg"], one["exp_avg"])


def test_it_is_written_now_and_then(tmp_path, monkeypatch):
    kept = Unfinished(tmp_path / "state", parts(0))
    kept.save((1,))
    assert not kept.path.exists()
    monkeypatch.setattr(x_task, "SAVE_EVERY", 0.0)
    kept.save((2,))
    assert kept.resume() == (2,)


@pytest.mark.parametrize("spoil", [lambda raw: raw[:100], lambda raw: b"", lambda raw: b"garbage"])
def test_a_damaged_file_is_refused(tmp_path, spoil):
    kept = Unfinished(tmp_path / "state", parts(0))
    kept.save((1,), now=True)
    kept.path.write_bytes(spoil(kept.path.read_bytes()))
    with pytest.raises(ModelError, match=r"cannot be read(.|\n)*Remove the file"):
        kept.resume()


def test_a_folder_that_cannot_be_written_is_an_error_for_the_user(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ProjectError, match="The disk reports an error"):
        Unfinished(tmp_path / "file" / "state", parts(0)).save((1,), now=True)
