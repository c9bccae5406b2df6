"""Mean teacher: what its gradients reach, what is evaluated, the pass with dropped channels, and bad input."""

from dataclasses import replace

import pytest
import torch

from labelgrid.basics.progress import Silent
from labelgrid.testing.trainings import dataset, different, trainer
from labelgrid.train.seeding import seed_torch
from labelgrid.train.terms import mean_teacher
from labelgrid.train.terms.mean_teacher import Options, build, smallest_gaps
from tests.support import make_dataset
from tests.unit.train.terms import stepped
from tests.unit.train.terms.stepped import ONE, step_of, without_depth

ANY = Options(confidence=0.0)
NAMES = ("semseg", "depth", "normals")


def training_of(folder, options=ANY, **changes):
    training = stepped.training_of(folder, mean_teacher, options, **changes)
    training.prepare(folder / "terms", Silent(), resumed=False)
    return training


def total(losses):
    return sum(loss.sum() for loss in losses.values())


def test_the_other_view_alone_gets_gradients_for_unlabelled_tasks(tmp_path):
    training = training_of(tmp_path, replace(ANY, certain=1.0))
    term, step = training.plan.terms["it"], step_of(training)
    with torch.no_grad():
        for p in term.teacher.parameters():
            p.add_(9.0 if p.shape == (1,) else 0.0)  # depths above 0 count
    losses = term.loss(step)
    found = torch.autograd.grad(
        total(losses), [step.views["strong"][1].final[n] for n in NAMES], retain_graph=True
    )
    for column, gradient in enumerate(found):
        reached = gradient.flatten(1).any(1)
        assert not reached[ONE[:, column]].any() and reached[~ONE[:, column]].any()
    (nothing,) = torch.autograd.grad(
        total(losses), [step.output.features.shared], allow_unused=True
    )
    assert nothing is None


def test_a_batch_with_all_labels_has_no_loss_and_one_without_any_trains(tmp_path):
    training = training_of(tmp_path)
    term = training.plan.terms["it"]
    assert not term.loss(step_of(training, torch.ones_like(ONE)))
    step = step_of(training, torch.zeros_like(ONE))
    assert total(term.loss(step)) > 0
    training.train_step(step.batch, 0)


def test_pixels_below_the_confidence_do_not_count(tmp_path):
    training = training_of(tmp_path, Options(confidence=1.0, certain=0.0))
    losses = training.plan.terms["it"].loss(step_of(training))
    assert [*losses] == [*NAMES] and not any(loss.any() for loss in losses.values())


def test_a_depth_map_without_a_valid_pixel_is_no_label(tmp_path):
    training = training_of(tmp_path)
    term, step = training.plan.terms["it"], step_of(training, change=without_depth)
    assert all(torch.isfinite(loss).all() for loss in term.loss(step).values())
    pseudo = term.pseudo(step, torch.ones(6, 3, dtype=torch.bool))
    assert pseudo["normals"].valid.flatten(1).float().mean(1).tolist() == pytest.approx(
        [0.5] * 6, abs=0.01
    )


def test_the_teachers_weights_are_evaluated_unless_the_student_is(tmp_path):
    training = training_of(tmp_path)
    training.run_epoch(Silent())
    training.run_epoch(Silent())
    term = training.plan.terms["it"]
    kept = training.checkpoint()
    assert not different(kept.evaluated, term.teacher.state_dict())
    assert different(kept.evaluated, kept.network)
    assert not {name.partition(".")[0] for name in kept.parts["it"]} - {
        "teacher",
        "colour_mean",
        "colour_std",
    }
    student = training_of(tmp_path / "student", replace(ANY, evaluate="student"))
    assert student.terms.evaluated() is None


def test_the_teacher_starts_from_the_networks_weights(tmp_path):
    made = dataset(tmp_path)
    training = trainer(made, lambda tasks, network: build(tasks, network, ANY))
    with torch.no_grad():
        for p in training.network.parameters():
            p.add_(0.1)
    training.prepare(tmp_path / "terms", Silent(), resumed=False)
    assert not different(
        training.network.state_dict(), training.plan.terms["it"].teacher.state_dict()
    )
    torch.testing.assert_close(
        training.plan.terms["it"].colour_std, torch.tensor(training.plan.data.std)
    )


def test_a_pass_with_dropped_channels_counts_as_much(tmp_path):
    training = training_of(tmp_path, replace(ANY, features=0.5))
    term, step = training.plan.terms["it"], step_of(training)
    seen, decode = [], step.network.decode
    step.network.decode = lambda features, known=None: (
        seen.append(features) or decode(features, known)
    )
    with seed_torch(0, "heads"):
        both = term.loss(step)
    (features,) = seen
    for dropped, maps in zip(
        (features.shared, *features.levels),
        (step.output.features.shared, *step.output.features.levels),
        strict=True,
    ):
        kept = dropped.flatten(2).any(2)
        assert 0.25 < kept.float().mean() < 0.75
        torch.testing.assert_close(dropped[kept], 2 * maps[kept])
    step.network.decode = decode
    with seed_torch(0, "heads"):
        other = step.network.decode(features)
    single = build(training.plan.tasks, training.network, ANY)
    single.load_state_dict(term.state_dict())
    parts = [
        single.loss(replace(step, views={"strong": (step.batch, one)}))
        for one in (step.views["strong"][1], other)
    ]
    for name, loss in both.items():
        torch.testing.assert_close(loss, (parts[0][name] + parts[1][name]) / 2)


def test_the_smallest_gaps_are_those_of_valid_pixels_with_ties():
    gaps = torch.tensor([[5.0, 1.0, 1.0, 1.0], [0.0, 9.0, 2.0, 3.0]]).view(2, 1, 1, 4)
    valid = torch.tensor([[True] * 4, [False, True, True, True]]).view(2, 1, 1, 4)
    found = [
        smallest_gaps(gaps, valid, share).view(2, 4).int().tolist()
        for share in (0.0, 0.3, 0.5, 1.0)
    ]
    assert found == [
        [[0, 0, 0, 0], [0, 0, 0, 0]],
        [[0, 1, 1, 1], [0, 0, 1, 0]],
        [[0, 1, 1, 1], [0, 0, 1, 1]],
        [[1, 1, 1, 1], [0, 1, 1, 1]],
    ]


def test_one_binary_task_alone_learns_where_either_class_is_confident(tmp_path):
    made = make_dataset(tmp_path, n=6, size=(32, 64), tasks=("saliency",))
    training = trainer(made, lambda tasks, network: build(tasks, network, ANY), batch=6)
    training.prepare(tmp_path / "terms", Silent(), resumed=False)
    term, labelled = training.plan.terms["it"], torch.tensor([[1], [0], [1], [0], [0], [0]]).bool()
    with torch.no_grad():
        for p in term.teacher.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0)))
    step = step_of(training, labelled)
    raw = term.teacher(step.batch.images).final["saliency"]
    p = torch.nn.functional.interpolate(raw, size=(32, 64), mode="bilinear").sigmoid()
    sure = torch.maximum(p, 1 - p)
    term.options = Options(confidence=sure.median().item())
    target = term.pseudo(step, ~labelled)["saliency"]
    wanted = (sure >= sure.median()) & ~labelled.view(-1, 1, 1, 1)
    assert torch.equal(target.valid, wanted) and 0 < wanted.sum() < 4 * 32 * 64
    assert torch.equal(target.value[wanted], (p > 0.5).to(target.value)[wanted])
    assert (
        not (term.loss(step)["saliency"] > 0)[labelled[:, 0]].any() and total(term.loss(step)) > 0
    )
