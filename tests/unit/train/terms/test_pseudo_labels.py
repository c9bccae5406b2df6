"""Pseudo-labels: the masked loss against float64, what is trusted, whose heads learn from them, and who gets none."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from labelgrid.basics.errors import RecipeError
from labelgrid.basics.progress import Silent
from labelgrid.data.batch import SoftLabel
from labelgrid.data.data_options import DataOptions
from labelgrid.data.frame import Frame
from labelgrid.data.loader import train_batch
from labelgrid.formats.codec import LabelArray
from labelgrid.pixel.target import SoftTarget
from labelgrid.tasks.task import build_all, definitions
from labelgrid.train.objective import task_losses
from labelgrid.train.seeding import seed_torch
from labelgrid.train.terms.pseudo_labels import Files, Options, agreement, build, soft_label
from labelgrid.train.train_options import ObjectiveOptions, TrainOptions
from labelgrid.train.trained_model import TrainedModel
from labelgrid.train.trainer import Trainer
from tests.support import make_dataset, task_rows
from tests.toys import source_of, toy_network, toy_plan, train

TASKS = ("semseg", "depth", "normals")
WEIGHTS = {"semseg": 2.0, "depth": 0.5, "normals": 10.0}


def plan_of(folder, options, *, missing=(), seed=5, trained=None, **changes):
    """A plan with the term, some labels removed, and a teacher."""
    made = make_dataset(folder / "data", n=4, size=(32, 64), tasks=TASKS)
    for name, task in missing:
        made.label(made.names[name], task).unlink()
    plan = toy_plan(
        made, TrainOptions(**{"epochs": 2, "batch": 4, "learning_rate": 1e-3, **changes})
    )
    teacher = TrainedModel(network=toy_network(plan.tasks, seed=seed).eval(), trained=trained)
    objective = ObjectiveOptions(weights=WEIGHTS, initial=0.5)
    term = build(plan.tasks, plan.network, options)
    return replace(
        plan, terms={"pseudo_labels": term}, previous=lambda: teacher, objective=objective
    )


def step_of(plan, confidence):
    """The term's step on a batch whose pseudo-labels are the labels, with drawn confidences above 0 in some pixels."""
    training = Trainer(plan)
    batch = train_batch(plan.source, plan.definitions, plan.train, plan.data, seed=0, soft={})
    soft = {
        name: SoftTarget(target, confidence(target) * target.valid)
        for name, target in batch.targets.items()
    }
    batch = replace(batch, soft={"pseudo_labels": soft})
    with seed_torch(0, "dropout"):
        output = plan.network.train()(batch.images)
    losses = task_losses(plan.tasks, output, batch.targets, 1.0)
    return training.terms.steps(batch, output, losses, 0)["pseudo_labels"]


def drawn(target):
    return torch.rand(target.valid.shape, generator=torch.Generator().manual_seed(0))


def pixel_losses(name, raw, value):
    """Float64 [h, w] of one image's output [c, h, w]."""
    if name == "semseg":
        shifted = raw - raw.max(0)
        logs = shifted - np.log(np.exp(shifted).sum(0))
        return -np.take_along_axis(logs, value.astype(int) % len(raw), 0)[0]  # 255 where not valid
    if name == "normals":
        raw = raw / np.sqrt((raw**2).sum(0)).clip(1e-6)
    return np.abs(raw - value).mean(0)


def test_its_losses_are_the_tasks_own_over_the_trusted_pixels_in_float64(tmp_path):
    def eighths(target):  # many lie at the confidence, many at 1 - `certain`
        return (drawn(target) * 8).floor() / 8

    step = step_of(plan_of(tmp_path, Options(weight=0.3, confidence=0.625, certain=0.25)), eighths)
    found = step_losses(step)
    for name, soft in step.batch.soft["pseudo_labels"].items():
        value, valid = soft.target.value.numpy(), soft.target.valid.numpy()[:, 0]
        confidence = soft.confidence.numpy()[:, 0]
        wanted = np.zeros(len(value))
        for raws, share in (
            (step.output.final, 1.0),
            *((raws, 0.5) for raws in step.output.initial),
        ):
            wide = functional.interpolate(
                raws[name].detach().double(), value.shape[-2:], mode="bilinear"
            )
            for image in range(len(value)):
                loss = pixel_losses(name, wide[image].numpy(), value[image])
                sure = confidence[image] >= 0.625 if name == "semseg" else confidence[image] > 0.75
                kept = valid[image] & sure
                assert 0 < kept.sum() < kept.size
                wanted[image] += share * sum(loss[kept].tolist()) / kept.size
        np.testing.assert_allclose(found[name].detach(), 0.3 * WEIGHTS[name] * wanted, rtol=2e-5)


def step_losses(step):
    return dict(plan_term(step).loss(step))


def plan_term(step):
    return build(step.tasks, step.network, Options(weight=0.3, confidence=0.625, certain=0.25))


def test_pixels_that_are_not_trusted_have_no_effect(tmp_path):
    gradients = []
    for spoil in (False, True):
        plan = plan_of(tmp_path / str(spoil), Options(confidence=0.6, certain=0.4))

        def confidence(target, spoil=spoil):
            kept = drawn(target)
            garbage = torch.full_like(target.value, 3 if target.value.dtype == torch.int64 else 1e6)
            if spoil:
                target.value.copy_(torch.where(kept > 0.6, target.value, garbage))
            return kept

        step = step_of(plan, confidence)
        sum(loss.mean() for loss in plan.terms["pseudo_labels"].loss(step).values()).backward()
        gradients.append(
            {name: p.grad for name, p in plan.network.named_parameters() if p.grad is not None}
        )
    assert gradients[0] and all(
        torch.equal(gradients[1][name], value) for name, value in gradients[0].items()
    )


def test_the_heads_of_tasks_without_any_label_learn_from_them(tmp_path):
    """The teacher has learnt all tasks; the network has labels of the normals alone."""
    options = {"epochs": 20, "learning_rate": 1e-2}
    teacher = plan_of(tmp_path, Options(weight=0.0), **options)
    train(replace(teacher, terms={}), tmp_path / "teacher")
    missing, found = [(image, name) for image in range(4) for name in ("semseg", "depth")], {}
    for weight in (0.0, 1.0):
        chosen = Options(weight=weight, confidence=0.0, certain=1.0)
        plan = plan_of(tmp_path / str(weight), chosen, missing=missing, **options)
        plan = replace(plan, previous=lambda: TrainedModel(network=teacher.network.eval()))
        train(plan, tmp_path / str(weight) / "fit")
        found[weight] = {name: error(plan, name, teacher) for name in ("semseg", "depth")}
    print(found, {name: error(teacher, name, teacher) for name in ("semseg", "depth")})
    assert all(found[1.0][name] < 0.6 * found[0.0][name] for name in found[1.0])


def error(plan, name, teacher):
    """The task's mean loss on what the teacher predicts of the images."""
    batch = train_batch(
        plan.source, plan.definitions, plan.train, replace(plan.data, flip=0), seed=0, soft={}
    )
    with torch.inference_mode():
        own, other = (
            one.network.eval()(batch.images, batch.targets).final[name] for one in (plan, teacher)
        )
    task = plan.tasks[name]
    return float(task.loss(own, task.to_target(task.activate(other))).mean())


def prepared(plan, folder):
    training = Trainer(plan)
    training.prepare(folder, Silent(), resumed=False)
    return training.terms.soft, sorted((p.parent.name, p.stem) for p in folder.rglob("*.npz"))


def test_cells_without_a_label_get_the_teachers_prediction_given_the_known_labels(tmp_path):
    labels = {}
    for known in (True, False):
        plan = plan_of(
            tmp_path / str(known), Options(known=known), missing=[(1, "depth"), (2, "semseg")]
        )
        soft, files = prepared(plan, tmp_path / str(known) / "terms")
        first, second = sorted(plan.train)[1:3]
        assert [(task, name.split(".")[0]) for task, name in files] == [
            ("depth", first.split(".")[0]),
            ("semseg", second.split(".")[0]),
        ]
        labels[known] = soft["pseudo_labels"](first, plan.definitions["depth"])
        assert soft["pseudo_labels"](second, plan.definitions["depth"]) is None
        batch = train_batch(
            plan.source,
            plan.definitions,
            [first],
            replace(plan.data, flip=0, zoom=(1,)),
            seed=0,
            soft={},
        )
        with torch.inference_mode():
            raw = (
                plan.previous()
                .network(batch.images, batch.targets if known else None)
                .final["depth"]
            )
        wide = functional.interpolate(raw, (32, 64), mode="bilinear")[0, 0].numpy()
        np.testing.assert_allclose(labels[known].label.value[..., 0], wide, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(labels[known].label.valid, wide > 0)
    assert not np.allclose(labels[True].label.value, labels[False].label.value, rtol=1e-3)


def test_with_averaged_flips_a_pseudo_label_is_the_mean_over_both(tmp_path):
    plan = plan_of(tmp_path, Options(known=False), missing=[(1, "depth")])
    plan = replace(plan, data=replace(plan.data, flip=0, zoom=(1,), average_flips=True))
    soft, _ = prepared(plan, tmp_path / "terms")
    image = sorted(plan.train)[1]
    batch = train_batch(plan.source, plan.definitions, [image], plan.data, seed=0, soft={})
    network = plan.previous().network
    with torch.inference_mode():
        plain = network(batch.images).final["depth"]
        raw = (plain + network(batch.images.flip(-1)).final["depth"].flip(-1)) / 2
    wide = functional.interpolate(raw, (32, 64), mode="bilinear")[0, 0].numpy()
    label = soft["pseudo_labels"](image, plan.definitions["depth"]).label
    np.testing.assert_allclose(label.value[..., 0], wide, rtol=1e-4, atol=1e-5)


def test_the_confidence_of_a_depth_is_that_of_predictions_without_known_labels(tmp_path):
    plan = plan_of(tmp_path, Options(), missing=[(1, "depth")])
    soft, _ = prepared(plan, tmp_path / "terms")
    image = sorted(plan.train)[1]
    label = soft["pseudo_labels"](image, plan.definitions["depth"])
    batch = train_batch(
        plan.source,
        plan.definitions,
        [image],
        replace(plan.data, flip=0, zoom=(1,)),
        seed=0,
        soft={},
    )
    with torch.inference_mode():
        network = plan.previous().network
        raws = (
            network(batch.images).final["depth"],
            network(batch.images.flip(-1)).final["depth"].flip(-1),
        )
    one, two = (
        functional.interpolate(raw, (32, 64), mode="bilinear")[0].movedim(0, 2).numpy()
        for raw in raws
    )
    valid = label.label.valid & (one > 0).all(-1) & (two > 0).all(-1)
    assert valid.sum() > 50 and np.ptp(label.confidence[valid]) > 0.9
    np.testing.assert_allclose(label.confidence, slow_agreement(one, two, valid), atol=0.02)


def test_the_mirror_image_is_predicted_only_where_a_task_predicts_values(tmp_path):
    for number, (task, passes) in enumerate([("semseg", 2), ("depth", 6)]):
        missing = [(1, "semseg"), (1, "depth"), (2, task)]
        plan = plan_of(tmp_path / str(number), Options(tasks=(task,)), missing=missing)
        calls = []
        plan.previous().network.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        prepared(plan, tmp_path / str(number) / "terms")
        assert len(calls) == passes


def test_a_task_that_the_teacher_had_no_label_of_gets_none_and_neither_do_tasks_left_out(tmp_path):
    missing = [(1, "depth"), (1, "semseg"), (2, "normals")]
    for number, (options, trained, wanted) in enumerate(
        [
            (Options(), frozenset({"depth", "normals"}), {"depth", "normals"}),
            (Options(tasks=("semseg", "depth")), None, {"semseg", "depth"}),
        ]
    ):
        plan = plan_of(tmp_path / str(number), options, missing=missing, trained=trained)
        assert {task for task, _ in prepared(plan, tmp_path / str(number) / "terms")[1]} == wanted


def test_a_task_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(
        RecipeError,
        match=r"pseudo_labels.tasks names dept, which(.|\n)*The tasks are: semseg, depth",
    ):
        plan_of(tmp_path, Options(tasks=("dept",)))


def kinds(*names):
    found = definitions(list(task_rows(names)))
    return build_all(found), found


@pytest.mark.parametrize("kind", ["semseg", "saliency"])
def test_the_confidence_of_classes_is_the_largest_probability(kind):
    tasks, found = kinds(kind)
    raw = torch.randn(tasks[kind].channels, 6, 8, generator=torch.Generator().manual_seed(0))
    frame = Frame((6, 8), (6, 8), (slice(0, 6), slice(0, 8)))
    soft, logits = soft_label(tasks[kind], found[kind], [raw], frame), raw.double().numpy()
    if kind == "saliency":
        logits = np.concatenate([logits, 0 * logits])
    shares = np.exp(logits) / np.exp(logits).sum(0)
    np.testing.assert_allclose(soft.confidence, shares.max(0), rtol=1e-5)
    wanted = shares.argmax(0) if kind == "semseg" else 1 - shares.argmax(0)
    np.testing.assert_array_equal(soft.label.value[..., 0], wanted)
    assert soft.label.valid.all()


def slow_agreement(own, other, valid):
    """The share of valid pixels that agree no better, pixel by pixel, of two predictions [h, w, c]."""
    gaps = np.abs(own - other).mean(-1) if own.shape[-1] == 1 else 1 - (own * other).sum(-1)
    pixels = [
        gap for gap, good in zip(gaps.ravel().tolist(), valid.ravel().tolist(), strict=True) if good
    ]
    shares = [sum(other >= gap for other in pixels) / len(pixels) for gap in gaps.ravel().tolist()]
    return np.where(valid, np.array(shares).reshape(gaps.shape), 0)


@pytest.mark.parametrize("kind", ["depth", "normals"])
def test_the_confidence_of_values_is_their_rank_by_agreement_with_the_mirror_image(kind):
    """In a padded input, whose content is not in the middle.

    The x of normals is negated on the way back.
    """
    tasks, found = kinds(kind)
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(tasks[kind].channels, 8, 11, generator=generator) + (
        2 if kind == "depth" else 0
    )
    back = raw + 0.5 * torch.randn(
        raw.shape, generator=generator
    )  # of the mirror image, its pixels in place again
    frame = Frame((8, 6), (8, 11), (slice(0, 8), slice(2, 8)))
    signs = torch.tensor([-1.0, 1, 1] if kind == "normals" else [1.0]).view(-1, 1, 1)
    one, two = (x[:, :, 2:8].movedim(0, 2).double().numpy() for x in (raw, back))
    if kind == "normals":
        one, two = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (one, two))
    valid = np.ones((8, 6), np.bool_)
    valid[0, :3] = False
    positive = (one > 0).all(-1) & (two > 0).all(-1) if kind == "depth" else valid
    found_share = agreement(
        tasks[kind],
        found[kind],
        raw=raw,
        mirrored=(back * signs).flip(-1),
        frame=frame,
        valid=valid,
    )
    np.testing.assert_allclose(found_share, slow_agreement(one, two, valid & positive), atol=1e-6)


def test_predictions_that_agree_everywhere_are_trusted_everywhere_and_a_share_of_others():
    tasks, found = kinds("depth")
    frame = Frame((4, 10), (4, 10), (slice(0, 4), slice(0, 10)))
    raw = torch.ones(1, 4, 10)
    every = np.ones((4, 10), np.bool_)
    assert (
        agreement(tasks["depth"], found["depth"], raw=raw, mirrored=raw, frame=frame, valid=every)
        == 1
    ).all()
    other = raw.clone()
    other[..., :4] += 1 + torch.arange(16).view(
        1, 4, 4
    )  # of the mirror image: the right of the image
    shares = agreement(
        tasks["depth"], found["depth"], raw=raw, mirrored=other, frame=frame, valid=every
    )
    assert (
        (shares[:, :6] == 1).all()
        and shares[:, 6:].max() == pytest.approx(16 / 40)
        and len(np.unique(shares)) == 17
    )
    assert (shares > 1 - 0.6).sum() == 24


def test_they_go_through_the_batchs_geometry_as_labels_do(tmp_path):
    """A pseudo-label equal to the label is equal to it in the batch, too.

    Its confidence is transformed with it.
    """
    made = make_dataset(tmp_path, n=4, size=(48, 40), tasks=TASKS)
    tasks, source = definitions(list(made.rows)), source_of(made)
    options = DataOptions(size=(32, 64), fit="pad", flip=0.5, zoom=(0.7, 1.0, 1.5))
    files = Files(tmp_path / "soft")
    for image in made.names:
        shown = source.label(image, tasks["semseg"]).value[..., 0].astype(np.float32) / 10 + 0.1
        for task in tasks.values():
            label = source.label(image, task)
            files.write(image, task, SoftLabel(LabelArray(label.value, label.valid), shown))
    for seed in range(4):
        batch = train_batch(source, tasks, made.names, options, seed=seed, soft={"pseudo": files})
        plain = train_batch(source, tasks, made.names, options, seed=seed, soft={})
        assert torch.equal(batch.images, plain.images)
        for name, target in batch.targets.items():
            soft = batch.soft["pseudo"][name]
            assert torch.equal(soft.target.valid, target.valid) and torch.equal(
                target.value, plain.targets[name].value
            )
            assert torch.equal(soft.target.safe(), target.safe())
            assert torch.equal(soft.confidence > 0, target.valid)
            both = target.valid & batch.targets["semseg"].valid
            shown = batch.targets["semseg"].value.float() / 10 + 0.1
            assert torch.equal(soft.confidence[both], shown[both]) and len(shown[both].unique()) > 2
