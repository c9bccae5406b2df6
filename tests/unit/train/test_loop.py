"""The loop: exact resume, lengths, logs, model choice, refusals."""

import json
import os
import signal
import sys
import time
from dataclasses import replace
from functools import partial

import pytest
import torch
from lightning_fabric.plugins import MixedPrecision

from labelgrid.basics.errors import TrainingError
from labelgrid.basics.progress import Silent
from labelgrid.nets.network import Network
from labelgrid.testing.trainings import different, flat
from labelgrid.train.balance import uncertainty
from labelgrid.train.checkpoint import load, save
from labelgrid.train.group import TrainingGroup
from labelgrid.train.loop import diverged_losses, divergence_warning, fit
from labelgrid.train.objective import fixed_weights, supervised_loss
from labelgrid.train.term import Term
from labelgrid.train.terms import mtpsl
from labelgrid.train.train_options import TrainOptions
from labelgrid.train.trainer import Trainer
from tests.e2e.killing import preloaded_context
from tests.support import make_dataset
from tests.toys import toy_plan, weights_of

COVERS = ["labelgrid.train.train_options", "labelgrid.train.term"]
QUICK = TrainOptions(epochs=3, batch=4, learning_rate=1e-3, cache=0.0)


def interrupted(*_):
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_dataset(
        tmp_path_factory.mktemp("data"), n=8, size=(32, 64), tasks=("semseg", "depth")
    )


class Remembering(Term):
    """A term with a parameter, a buffer and plain state, and a small loss on the features."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(0.5))
        self.register_buffer("mean", torch.zeros(()))
        self.calls = 0

    def get_extra_state(self):
        return {"calls": self.calls}

    def set_extra_state(self, state):
        self.calls = state["calls"]

    def loss(self, step):
        weight = self.scale * (1 + 0.01 * self.calls) * (1 + self.mean)
        return {"size": 0.01 * weight * step.output.features.shared.square().mean((1, 2, 3))}

    def after_step(self, step):
        self.calls += 1
        self.mean.mul_(0.9).add_(0.1 * float(step.losses["depth"].detach().mean()))


def full_plan(data):
    """Augmentation, two workers, dropout, label injection and a term with state."""
    return toy_plan(
        data, replace(QUICK, workers=2, known=0.5), terms={"remembering": Remembering()}
    )


def _train_and_die(data, folder):
    torch.set_num_threads(1)
    steps = []

    class Dying(Silent):
        def advance(self, amount=1, note=""):
            steps.append(amount)
            if len(steps) == 3:  # in the middle of the second epoch
                os.kill(os.getpid(), signal.SIGKILL)

    fit(full_plan(data), folder, Dying())


def test_a_training_killed_in_an_epoch_ends_in_bitwise_the_same_weights(data, tmp_path):
    torch.set_num_threads(1)
    whole = fit(full_plan(data), tmp_path / "whole", Silent())
    child = preloaded_context().Process(target=_train_and_die, args=(data, tmp_path / "killed"))
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    before = json.loads((tmp_path / "killed" / "log.jsonl").read_text().splitlines()[-1])
    assert before["epoch"] == 1
    resumed = fit(full_plan(data), tmp_path / "killed", Silent())
    first, second = load(whole), load(resumed)
    for part in ("network", "optimiser", "parts"):
        assert not different(flat(getattr(first, part)), flat(getattr(second, part))), part
    assert first.parts["remembering"]["_extra_state"]["calls"] == 6
    log = (tmp_path / "killed" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in log] == [1, 2, 3]


def test_a_training_that_is_finished_starts_no_progress(data, tmp_path):
    class Started(Silent):
        def __init__(self):
            self.what = []

        def start(self, what, total, unit):
            self.what.append((what, total))

    first, again = Started(), Started()
    plan = toy_plan(data, replace(QUICK, epochs=1), net="shared_heads")
    fit(plan, tmp_path, first)
    fit(plan, tmp_path, again)
    assert first.what == [("Training", plan.steps * 4)]
    assert again.what == []


class Heard(Silent):
    """Notes what is said, and after how many epochs."""

    def __init__(self):
        self.epochs = 0
        self.said = []

    def advance(self, amount=1, note=""):
        self.epochs = int(note.split()[1].split("/")[0]) if note.startswith("epoch") else 0

    def say(self, text):
        self.said.append((self.epochs, text.partition(" waiting for images")[0][-8:]))


@pytest.mark.parametrize(
    ("cache", "said"),
    [
        (0, [(2, " far was"), (5, "time was")]),
        (2e-5, [(0, " 21 KiB."), (2, " far was"), (5, "time was")]),
        (1.0, [(5, "time was")]),
    ],
)
def test_waiting_for_images_is_told_while_most_of_the_training_is_ahead(
    data, tmp_path, monkeypatch, cache, said
):
    monkeypatch.setattr("labelgrid.train.waiting.SECONDS", 0.0)
    monkeypatch.setattr("labelgrid.train.waiting.SHARE", 0.0)
    heard = Heard()
    fit(toy_plan(data, replace(QUICK, epochs=5, cache=cache)), tmp_path / "fit", heard)
    assert heard.said == said


def test_half_precision_resumes_with_its_loss_scale(data, tmp_path):
    def half_precision_trainer():  # Fabric makes a loss scaler on GPUs alone; PyTorch has one for the CPU, too
        trainer = Trainer(toy_plan(data, QUICK))
        trainer.fabric.strategy.precision = MixedPrecision("16-mixed", "cpu")
        return trainer

    first, path = half_precision_trainer(), tmp_path / "last.ckpt"
    first.run_epoch(Silent())
    save(first.checkpoint(), path)
    assert load(path).scaler["_growth_tracker"] == first.step == 2
    again = half_precision_trainer()
    assert again.resume(path)
    assert again.checkpoint().scaler == first.checkpoint().scaler


def test_every_step_feeds_other_labels_in(data, tmp_path):
    plan, seen = toy_plan(data, replace(QUICK, epochs=2, known=0.5)), []

    def see(network, arguments):
        seen.append(torch.stack([target.present for target in arguments[1].values()]))

    plan.network.register_forward_pre_hook(see)
    fit(plan, tmp_path, Silent())
    assert len(seen) == 4
    assert len({tuple(fed.flatten().tolist()) for fed in seen}) > 2


def test_the_networks_random_draws_depend_on_the_seed_and_the_epoch_alone(data, tmp_path):
    def drawn(seed, epochs):
        """What the network could draw, such as dropout masks, in the steps of these epochs."""
        options, draws = replace(QUICK, epochs=2), []
        plan = toy_plan(data, options, net="shared_heads", seed=seed)
        plan.network.register_forward_pre_hook(
            lambda network, arguments: draws.append(torch.rand(4).tolist())
        )
        trainer = Trainer(plan)
        for epoch in epochs:
            trainer.epoch, trainer.step = epoch, 2 * epoch
            trainer.run_epoch(Silent())
        return draws

    both = drawn(0, [0, 1])
    assert len({tuple(draw) for draw in both}) == len(both) == 4
    assert drawn(0, [1]) == both[2:] and drawn(0, [0]) == both[:2]
    assert drawn(1, [0]) != both[:2]


def test_the_number_of_workers_changes_no_weight(data, tmp_path):
    torch.set_num_threads(1)
    one = replace(QUICK, epochs=1)
    paths = [
        fit(
            toy_plan(data, replace(one, workers=n), net="shared_heads"), tmp_path / str(n), Silent()
        )
        for n in (0, 2)
    ]
    first, second = map(weights_of, paths)
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_training_learns_the_scenes(data, tmp_path):
    plan = toy_plan(data, replace(QUICK, epochs=10, learning_rate=1e-2, known=0.0))
    fit(plan, tmp_path, Silent())
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    ratios = {task: log[-1]["loss"][task] / log[0]["loss"][task] for task in plan.tasks}
    assert all(ratio < 0.85 for ratio in ratios.values()), ratios
    assert log[0]["lr"] == 1e-2 and log[5]["lr"] == pytest.approx(1e-2 * 0.5**0.9)


def test_a_length_in_steps_is_kept_to_the_step(data, tmp_path):
    fit(toy_plan(data, replace(QUICK, steps=5), net="shared_heads"), tmp_path, Silent())
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in log] == [2, 4, 5]


def test_the_learning_rate_falls_by_partal_a4(data):
    plan = toy_plan(data, TrainOptions())
    rates = [plan.learning_rate(epoch, step) for epoch, step in ((0, 0), (0, 1), (99, 0))]
    assert rates == [1e-4, 1e-4, pytest.approx(1e-4 * 0.01**0.9)]


def test_the_learning_rate_rises_for_the_warm_up_and_falls_by_steps_where_the_length_is_in_steps(
    data, tmp_path
):
    options = replace(QUICK, steps=10, warmup=0.4, power=1.0)
    plan = toy_plan(data, options, net="shared_heads")
    rates = [plan.learning_rate(step // 2, step) / options.learning_rate for step in range(10)]
    assert rates == pytest.approx([0.25, 0.45, 0.6, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    fit(plan, tmp_path, Silent())
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [record["lr"] for record in log] == [
        plan.learning_rate(epoch, 2 * epoch + 1) for epoch in range(5)
    ]


def test_every_option_of_the_training_changes_the_weights(data, tmp_path):
    short = replace(QUICK, steps=2)  # so that the rate falls from step to step
    base = weights_of(fit(toy_plan(data, short), tmp_path / "base", Silent()))
    changes = {
        "power": 0.5,
        "clip": 0.01,
        "norm": "frozen",
        "known": 0.0,
        "optimiser": "adamw",
        "weight_decay": 0.1,
    }
    changes |= {"batch": 3, "learning_rate": 1e-4, "warmup": 1.0}
    for key, value in changes.items():
        plan = toy_plan(data, replace(short, **{key: value}))
        other = weights_of(fit(plan, tmp_path / key, Silent()))
        assert any(not torch.equal(base[k], other[k]) for k in base), key


def test_frozen_norms_keep_the_encoders_statistics(data, tmp_path):
    plan = toy_plan(data, replace(QUICK, epochs=1, norm="frozen"))
    before = {
        k: v.clone()
        for k, v in plan.network.state_dict().items()
        if "running" in k and "encoder" in k
    }
    after = weights_of(fit(plan, tmp_path, Silent()))
    assert before and all(torch.equal(before[k], after[k]) for k in before)


def test_an_error_in_the_first_epoch_does_not_speak_of_a_checkpoint(data, tmp_path):
    with torch.no_grad():
        plan = toy_plan(data, QUICK)
        next(plan.network.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"in epoch 1, step 1 of ") as caught:
        fit(plan, tmp_path, Silent())
    assert caught.value.unchanged == ""


def test_a_loss_that_is_no_number_stops_and_names_its_images(data, tmp_path):
    plan = toy_plan(data, replace(QUICK, epochs=5))
    network: Network = plan.network

    class Failing(Silent):
        def advance(self, amount=1, note=""):
            if note.startswith("epoch 2"):
                with torch.no_grad():
                    next(network.parameters()).fill_(float("nan"))

    said = (
        r"is nan in epoch 2, step \d+ of \d+ at the learning rate \S+ \(images .*\.jpg, .*\.jpg\)"
    )
    with pytest.raises(TrainingError, match=rf"The loss of '\w+' {said}") as caught:
        fit(plan, tmp_path, Failing())
    assert "The checkpoint after epoch 1 is kept." in str(caught.value)
    assert all(torch.isfinite(v).all() for v in weights_of(tmp_path / "last.ckpt").values())


@pytest.mark.parametrize(
    "name", ["weight", "running_var", r"mtpsl\.mapping\..*weight", r"balancer\..*"]
)
def test_weights_that_are_no_numbers_after_the_last_step_of_an_epoch_are_not_kept(
    data, tmp_path, name
):
    plan = toy_plan(data, replace(QUICK, epochs=2))
    term = mtpsl.build(plan.tasks, plan.network, mtpsl.Options(mapping="light"))
    weights = fixed_weights(plan.tasks, plan.objective)
    balancer = uncertainty.build(
        weights, partial(supervised_loss, reduction="image_mean"), uncertainty.Options()
    )
    term.register_buffer("best", torch.tensor(torch.inf))  # a buffer may hold anything
    plan = replace(plan, terms={"mtpsl": term}, balancer=balancer)
    part = {"m": term, "b": balancer}.get(name[0], plan.network)
    broken = next(
        value for own, value in part.state_dict().items() if own.endswith(name.rpartition("*")[2])
    )

    class Failing(Silent):
        def advance(self, amount=1, note=""):
            self.steps = getattr(self, "steps", 0) + 1
            if self.steps == plan.steps:
                broken.fill_(float("nan"))

    said = rf"weights '.*{name}' are not finite after epoch 2, step \d+ of \d+ at the learning"
    with pytest.raises(TrainingError, match=said):
        fit(plan, tmp_path, Failing())
    kept = load(tmp_path / "last.ckpt")
    assert kept.epoch == 1
    states = (kept.network, kept.balancer, {**kept.parts["mtpsl"], "best": torch.zeros(1)})
    assert all(torch.isfinite(v).all() for state in states for v in state.values())


def test_no_label_and_another_trainings_checkpoint_are_refused(data, tmp_path):
    with pytest.raises(TrainingError, match="There is no label to learn from"):
        fit(toy_plan(data, QUICK, train=[]), tmp_path, Silent())
    fit(toy_plan(data, replace(QUICK, epochs=1)), tmp_path, Silent())
    with pytest.raises(TrainingError, match="another recipe, other tasks or other labels"):
        fit(toy_plan(data, QUICK, identity='{"other": 1}'), tmp_path, Silent())


def test_a_checkpoint_of_terms_that_are_built_otherwise_now_is_refused(data, tmp_path):
    one = replace(QUICK, epochs=1)
    fit(toy_plan(data, one, terms={"remembering": Remembering()}), tmp_path, Silent())
    with pytest.raises(
        TrainingError, match=r"does not fit the network, the terms or the balancer(.|\n)*to restart"
    ):
        fit(toy_plan(data, one, terms={"remembering": Term()}), tmp_path, Silent())


def test_the_best_epoch_on_val_is_chosen_where_asked_for(data, tmp_path):
    options = replace(QUICK, epochs=4, val_every=1, choose="best", learning_rate=0.05)
    chosen = fit(
        toy_plan(
            data, options, net="shared_heads", val=list(data.names[:2]), train=list(data.names[2:])
        ),
        tmp_path,
        Silent(),
    )
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    best = min(log, key=lambda record: record["val"]["loss_mtl"])
    assert chosen.name == "best.ckpt"
    assert load(chosen).epoch == best["epoch"]


def test_a_first_epoch_is_the_best_one_under_two_names_and_never_the_last_one_alone(
    data, tmp_path, monkeypatch
):
    plan = toy_plan(data, replace(QUICK, epochs=1), net="shared_heads", val=list(data.names[:2]))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("labelgrid.train.loop.save_as", interrupted)
        fit(plan, tmp_path, Silent())
    assert (tmp_path / "best.ckpt").exists() and not (tmp_path / "last.ckpt").exists()
    fit(plan, tmp_path, Silent())
    assert (tmp_path / "last.ckpt").samefile(tmp_path / "best.ckpt")


def test_a_finished_training_is_not_run_again(data, tmp_path):
    one = replace(QUICK, epochs=1)
    first = fit(toy_plan(data, one), tmp_path, Silent())
    stamp = first.stat().st_mtime_ns
    time.sleep(0.01)
    assert fit(toy_plan(data, one), tmp_path, Silent()).stat().st_mtime_ns == stamp


def test_another_process_uses_the_folder_once_the_first_one_has_made_it(data, tmp_path):
    class Second(TrainingGroup):
        is_first = False

        def tell(self, value=None):
            (tmp_path / "fit").mkdir(exist_ok=True)
            return value

    plan = toy_plan(data, replace(QUICK, epochs=2, cache=0.1))
    fit(plan, tmp_path / "fit", Silent(), Second())
    assert list((tmp_path / "fit").iterdir()) == []


def test_tensorboard_is_written_where_asked_for(data, tmp_path):
    pytest.importorskip("tensorboard", reason="TensorBoard's log needs the package tensorboard")
    fit(toy_plan(data, replace(QUICK, epochs=1, tensorboard=True)), tmp_path, Silent())
    assert list((tmp_path / "tensorboard").iterdir())


def test_tensorboard_that_is_not_installed_is_said_before_the_training(data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    plan = toy_plan(data, replace(QUICK, tensorboard=True))
    with pytest.raises(TrainingError, match=r"pip install 'labelgrid\[tensorboard\]'"):
        fit(plan, tmp_path / "fit", Silent())
    assert not (tmp_path / "fit").exists()


def test_training_leaves_the_callers_random_stream_alone(data, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(toy_plan(data, replace(QUICK, epochs=1)), tmp_path, Silent())
    assert torch.equal(torch.rand(3), expected)


def test_a_whole_training_without_a_valid_pixel_of_a_task_is_an_error(data, tmp_path):
    plan = toy_plan(data, TrainOptions(epochs=2, batch=2))
    labels = dict.fromkeys(plan.train, frozenset(plan.definitions))
    missed = replace(plan.definitions["depth"].spec, transform=nowhere)
    definitions = dict(plan.definitions)
    definitions["depth"] = replace(definitions["depth"], spec=missed)
    with pytest.raises(TrainingError, match="no valid pixel of 'depth', which has"):
        fit(replace(plan, definitions=definitions, labels=labels), tmp_path / "a", Silent())
    fit(replace(plan, labels=labels), tmp_path / "b", Silent())


def nowhere(value, valid, geometry, _options):
    """Move a label to a view, without any of its valid pixels."""
    return geometry.nearest(value), geometry.nearest(valid) & False


def history(depth, **start):
    return [
        {"loss": {"depth": 1e9}, **start},
        {"loss": {"depth": depth, "edges": 1e9}, "terms": {"crop.mse": 9e9}},
    ]


def test_the_last_epoch_is_compared_with_the_first_batch_where_it_had_the_task():
    assert (
        diverged_losses(history(9.0, start={"depth": 3.0, "crop.mse": 0.0})) == {}
    )  # terms may start at 0
    assert diverged_losses(history(9.1, start={"depth": 3.0})) == {"depth": (3.0, 9.1)}
    assert diverged_losses(history(1e9)) == {}  # a network that was trained before


def test_the_values_and_the_rate_are_named():
    said = divergence_warning(history(90.0, start={"depth": 3.0}), 0.5)
    assert "'depth' 90, at first 3" in said and "(it is 0.5)" in said


def test_the_first_loss_of_a_task_is_that_of_its_first_batch_with_a_label(tmp_path):
    made = make_dataset(tmp_path, n=4, size=(32, 64), tasks=("depth", "normals"))
    training = Trainer(toy_plan(made, TrainOptions(epochs=1, batch=2)))
    step, taken = training.train_step, []
    batch = next(training._batches(0))
    late = {
        name: target.where(torch.zeros(len(batch.ids)).bool())
        for name, target in batch.targets.items()
    }
    first = replace(batch, targets=late | {"depth": batch.targets["depth"]})
    training.stream.epoch = lambda *_: iter([(first, first.ids), (batch, batch.ids)])
    training.train_step = lambda *given: taken.append(step(*given)) or taken[-1]
    start = training.run_epoch(Silent())["start"]
    for column, (name, index) in enumerate({"depth": 0, "normals": 1}.items()):
        losses, present, _ = taken[index]
        assert start[name] == pytest.approx(
            float(losses[name].detach().sum() / present[:, column].sum()), rel=1e-6
        )
