"""The trainer, against a plain loop of torch; what balancers, terms and checkpoints get of it."""

import shutil
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from labelgrid.basics.errors import TrainingError
from labelgrid.basics.progress import Silent
from labelgrid.basics.streams import seed_of, stream
from labelgrid.data.batch import SoftLabel
from labelgrid.data.loader import train_batches
from labelgrid.nets.network import Network
from labelgrid.pixel.target import Target
from labelgrid.train.balance import mgda
from labelgrid.train.balance.fixed import Fixed
from labelgrid.train.checkpoint import load, save
from labelgrid.train.objective import fixed_weights, supervised_loss, task_losses
from labelgrid.train.term import OwnOptimiser, Term
from labelgrid.train.train_options import ObjectiveOptions, TrainOptions
from labelgrid.train.trainer import Trainer, compile_encoder, non_finite_values, trained_values
from tests.support import make_dataset
from tests.toys import toy_network, toy_plan

QUICK = TrainOptions(epochs=2, batch=3, learning_rate=1e-3, device="cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_dataset(
        tmp_path_factory.mktemp("data"), n=7, size=(32, 64), tasks=("depth", "normals")
    )


class Scaled(Term):
    """A term with a trained scale, a scale with an optimiser of its own, and notes of what it was given."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(0.5))
        self.own = torch.nn.Parameter(torch.tensor(1.0))
        self.frozen = torch.nn.Parameter(torch.tensor(2.0), requires_grad=False)
        self.optimiser = torch.optim.SGD([self.own], lr=0.1)
        self.seen = []

    def loss(self, step):
        self.seen.append((step.number, step.progress, step.batch.ids))
        size = step.output.features.shared.square().mean((1, 2, 3))
        return {
            "size": 0.01 * self.scale * size,
            "scale": (self.scale - self.own.detach()).square().expand(len(size)),
        }

    def optimisers(self):
        return {
            "own": OwnOptimiser(self.optimiser, lambda step: {"own": self.own.square().expand(2)})
        }


class Balancing(Fixed):
    """Fixed weights with a parameter and a rate of its own; notes what it was given."""

    learning_rate = 0.02

    def __init__(self, tasks):
        super().__init__(
            fixed_weights(tasks, ObjectiveOptions()),
            partial(supervised_loss, reduction="image_mean"),
        )
        self.factor = torch.nn.Parameter(torch.tensor(1.0))
        self.unused = torch.nn.Parameter(torch.tensor(1.0), requires_grad=False)
        self.steps = []

    def backward(self, step):
        self.steps.append(step)
        self.factors = {
            name: torch.tensor(float(len(self.steps)))
            for name in step.losses
            if len(self.steps) != 2
        }
        total = self.factor * self.reduce(step.losses, step.present) + step.other
        step.backward(total)
        return total.detach()


class Noting(Silent):
    def __init__(self):
        self.notes = []

    def advance(self, amount=1, note=""):
        self.notes.append((amount, note))


def precise(batches):
    """Batches in float64, so that Adam does not magnify rounding, with labels that weigh from 0.5 on."""
    for batch in batches:
        targets = {
            name: Target(target.value.double(), target.valid)
            for name, target in batch.targets.items()
        }
        weights = 0.5 + torch.arange(batch.weights.numel()).view_as(batch.weights) / 4
        yield replace(batch, images=batch.images.double(), targets=targets, weights=weights)


def plain_training(plan):
    """A training without the trainer: its log, one record per epoch, and the state of the network."""
    term, options, log, step = plan.terms["scaled"], plan.options, [], 0
    parameters = [*plan.network.parameters(), term.scale]
    optimiser = torch.optim.Adam(
        parameters, lr=options.learning_rate, weight_decay=options.weight_decay
    )
    weigh = fixed_weights(plan.tasks, ObjectiveOptions())
    for epoch in range(2):
        torch.manual_seed(seed_of(plan.seed, "dropout", epoch))
        plan.network.train()
        sums, of_terms = {name: [] for name in plan.tasks}, {"scaled.size": [], "scaled.scale": []}
        batches = train_batches(
            *(plan.source, plan.definitions, plan.train, plan.data),
            batch=3,
            seed=plan.seed,
            epoch=epoch,
            split=lambda names: [names[i : i + 3] for i in range(0, len(names) - 2, 3)],
        )
        for index, batch in enumerate(precise(batches)):
            draws = stream(plan.seed, "known", epoch, index).random((3, 2)) < options.known
            kept = [torch.from_numpy(draws[:, column]) for column in range(2)]
            known = {
                name: batch.targets[name].where(keep)
                for name, keep in zip(plan.tasks, kept, strict=True)
            }
            output = plan.network(batch.images, known)
            losses = task_losses(plan.tasks, output, batch.targets, 0.5)
            present = torch.stack([batch.targets[name].present for name in plan.tasks], 1)
            for column, (name, loss) in enumerate(losses.items()):
                sums[name] += loss[present[:, column]].tolist()
            own = {
                n: weigh[n] * (loss * batch.weights[:, i])
                for i, (n, loss) in enumerate(losses.items())
            }
            size = output.features.shared.square().mean((1, 2, 3))
            size, scale = (
                0.01 * term.scale * size,
                (term.scale - term.own.detach()).square().expand(3),
            )
            other = size.mean() + scale.mean()
            for name, loss in zip(of_terms, (size, scale), strict=True):
                of_terms[name] += loss.tolist()
            for group in optimiser.param_groups:
                group["lr"] = plan.learning_rate(epoch, step)
            optimiser.zero_grad()
            (supervised_loss(own, present, "image_mean") + other).backward()
            torch.nn.utils.clip_grad_norm_(parameters, options.clip)
            optimiser.step()
            with torch.no_grad():
                term.own -= 0.1 * 2 * term.own
            step += 1
            losses, terms = (
                {n: sum(found) / len(found) for n, found in all.items()} for all in (sums, of_terms)
            )
            log += [losses] if step == 1 else []
        rate = plan.learning_rate(epoch, step - 1)
        log.append({"epoch": epoch + 1, "step": step, "lr": rate, "loss": losses, "terms": terms})
    start, *log = log
    return [log[0] | {"start": start}, *log[1:]], plan.network.state_dict()


def test_the_trainer_is_a_plain_loop_of_torch(data):
    options = replace(QUICK, clip=0.5, weight_decay=0.1, known=0.5, warmup=0.5)
    make = {"objective": ObjectiveOptions(initial=0.5), "seed": 3}
    plan = toy_plan(data, options, terms={"scaled": Scaled()}, **make)
    other = toy_plan(data, options, terms={"scaled": Scaled()}, **make)
    trainer, progress = Trainer(plan), Noting()
    epoch = trainer.stream.epoch
    trainer.stream.epoch = lambda *of: ((next(precise([batch])), ids) for batch, ids in epoch(*of))
    for module in (plan.network, other.network):
        module.double()
    log = [trainer.run_epoch(progress) for _ in range(2)]
    expected, state = plain_training(other)
    for record, wanted in zip(log, expected, strict=True):
        assert set(record) == {*wanted, "seconds", "waited"} and 0 < record["seconds"] < 3600
        assert [record[key] for key in ("epoch", "step", "lr")] == [
            wanted[key] for key in ("epoch", "step", "lr")
        ]
        assert record["loss"] == pytest.approx(wanted["loss"], rel=1e-6)
        assert record["terms"] == pytest.approx(wanted["terms"], rel=1e-6)
        assert record.get("balance", {}) == wanted.get("balance", {})
        assert record.get("start", {}) == pytest.approx(wanted.get("start", {}), rel=1e-6)
    assert progress.notes == [(3, "epoch 1/2")] * 2 + [(3, "epoch 2/2")] * 2
    torch.testing.assert_close(plan.network.state_dict(), state, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(
        plan.terms["scaled"].state_dict(), other.terms["scaled"].state_dict()
    )


def test_terms_and_balancers_are_told_the_step_and_the_share_that_is_done(data):
    plan = toy_plan(data, QUICK, terms={"scaled": Scaled()})
    balancer = Balancing(plan.tasks)
    trainer = Trainer(replace(plan, balancer=balancer))
    first, second = (trainer.run_epoch(Silent())["balance"] for _ in range(2))
    assert set(first.values()) == {1.0} and set(second.values()) == {
        3.5
    }  # means over the steps that had any
    assert [(number, done) for number, done, _ in plan.terms["scaled"].seen] == [
        (0, 0),
        (1, 0.25),
        (2, 0.5),
        (3, 0.75),
    ]
    assert [(step.step, step.progress) for step in balancer.steps] == [
        (0, 0),
        (1, 0.25),
        (2, 0.5),
        (3, 0.75),
    ]
    for step in balancer.steps:
        assert step.present.shape == (3, 2) and step.present.dtype == torch.bool
        assert step.features.requires_grad and step.other.requires_grad
        assert [id(p) for p in step.parameters] == [id(p) for p in plan.network.shared_parameters()]


def test_the_balancers_parameters_have_no_weight_decay_and_a_rate_of_their_own(data):
    plan = toy_plan(
        data,
        replace(QUICK, weight_decay=0.1, optimiser="adamw", power=1.0),
        terms={"scaled": Scaled()},
    )
    trainer = Trainer(replace(plan, balancer=(balancer := Balancing(plan.tasks))))
    first, second = trainer.optimiser.param_groups
    assert [id(p) for p in first["params"]] == [
        id(p) for p in (*plan.network.parameters(), plan.terms["scaled"].scale)
    ]
    assert [id(p) for p in second["params"]] == [id(balancer.factor)]
    assert (first["weight_decay"], second["weight_decay"]) == (0.1, 0.0)
    assert isinstance(trainer.optimiser.optimizer, torch.optim.AdamW)
    assert first["lr"] == QUICK.learning_rate
    for _ in range(2):
        record = trainer.run_epoch(Silent())
    assert (first["lr"], second["lr"]) == (5e-4, 0.01) and record["lr"] == trainer.rate == 5e-4
    assert len(Trainer(plan).optimiser.param_groups) == 1


def test_a_training_starts_at_nothing(data):
    trainer = Trainer(toy_plan(data, QUICK))
    assert (trainer.epoch, trainer.step, trainer.rate, trainer.history) == (0, 0, 0.0, [])


def flat(state, path=""):
    """The tensors and numbers of a nested state, by their path."""
    if isinstance(state, torch.Tensor | bool | int | float):
        return {path: torch.as_tensor(state)}
    parts = (
        state.items()
        if isinstance(state, dict)
        else enumerate(state if isinstance(state, list) else [])
    )
    return {
        key: value for name, part in parts for key, value in flat(part, f"{path}/{name}").items()
    }


class Averaging(Scaled):
    def evaluated(self):
        return {"average": torch.ones(2)}


def test_a_checkpoint_holds_the_whole_training_and_gives_it_back(data, tmp_path):
    def trainer(term):
        plan = toy_plan(data, QUICK, terms={"scaled": term}, identity='{"this": 1}')
        return Trainer(replace(plan, balancer=Balancing(plan.tasks)))

    first, again, path = trainer(Averaging()), trainer(Averaging()), tmp_path / "last.ckpt"
    assert again.resume(path) is False
    first.history.append(first.run_epoch(Silent()))
    save(first.checkpoint(), path)
    kept = load(path)
    assert (kept.epoch, kept.step, kept.identity, kept.scaler) == (1, 2, '{"this": 1}', {})
    assert kept.history == first.history and kept.evaluated["average"].tolist() == [1, 1]
    assert (
        set(kept.own) == {"scaled/own"}
        and set(kept.parts) == {"scaled"}
        and "factor" in kept.balancer
    )
    assert again.resume(path) is True
    assert (again.epoch, again.step, again.history) == (1, 2, first.history)
    for part in ("network", "optimiser", "parts", "balancer", "own"):
        states = [flat(getattr(trainer.checkpoint(), part)) for trainer in (again, first)]
        torch.testing.assert_close(*states, rtol=0, atol=0)
    assert again.run_epoch(Silent())["loss"] == first.run_epoch(Silent())["loss"]


def test_a_term_without_state_may_be_new_to_a_checkpoint(data, tmp_path):
    save(Trainer(toy_plan(data, QUICK)).checkpoint(), tmp_path / "last.ckpt")
    assert (
        Trainer(toy_plan(data, QUICK, terms={"plain": Term()})).resume(tmp_path / "last.ckpt")
        is True
    )


def test_terms_are_prepared_with_the_progress_and_the_batches_of_the_training(data, tmp_path):
    class Prepared(Term):
        def prepare(self, found):
            self.found = found

    plan, progress = toy_plan(data, QUICK, terms={"prepared": Prepared()}), Silent()
    Trainer(plan).prepare(tmp_path, progress, resumed=False)
    found = plan.terms["prepared"].found
    assert found.progress is progress and found.folder.parent == tmp_path
    assert [len(batch.ids) for batch in found.batches(0)] == [3, 3]


def test_an_epoch_trains_all_modules_but_the_norms_that_are_frozen(data):
    plan = toy_plan(data, replace(QUICK, norm="frozen"))
    trainer = Trainer(plan)
    plan.network.eval()
    trainer.run_epoch(Silent())
    encoder = set(plan.network.get_submodule("encoder").modules())
    norms = {module for module in encoder if isinstance(module, torch.nn.BatchNorm2d)}
    assert norms and not any(module.training for module in norms)
    assert all(module.training for module in encoder if isinstance(module, torch.nn.Conv2d))
    assert all(module.training for module in plan.network.modules() if module not in encoder)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_no_label_or_every_label_is_fed_in(data, share):
    plan, seen = toy_plan(data, replace(QUICK, known=share)), []
    plan.network.register_forward_pre_hook(lambda network, arguments: seen.append(arguments[1]))
    Trainer(plan).run_epoch(Silent())
    assert (
        all(known is None for known in seen)
        if share == 0
        else all(k["depth"].present.all() for k in seen)
    )


@pytest.mark.parametrize(
    "words, error",
    [
        ("Expected more than 1 value per channel when training", TrainingError),
        ("other", ValueError),
    ],
)
def test_a_batch_too_small_for_its_norms_is_named_and_other_faults_pass(data, words, error):
    plan = toy_plan(data, QUICK)

    def fail(network, arguments):
        raise ValueError(words)

    plan.network.register_forward_pre_hook(fail)
    with pytest.raises(error) as caught:
        Trainer(plan).run_epoch(Silent())
    assert type(caught.value) is error
    if error is TrainingError:
        assert "too small for batch normalisation" in str(caught.value) and ".jpg, " in str(
            caught.value
        )


def test_the_precision_is_the_options_and_a_device_that_is_not_there_is_refused(data):
    assert (
        Trainer(
            toy_plan(data, replace(QUICK, precision="bf16-mixed"))
        ).fabric.strategy.precision.precision
        == "bf16-mixed"
    )
    missing = "cuda" if not torch.cuda.is_available() else "mps"
    with pytest.raises(TrainingError, match=f"There is no device '{missing}' here"):
        Trainer(toy_plan(data, replace(QUICK, device=missing)))


class Once(Term):
    """A term whose parameter is in the loss of the first step only."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(0.5))

    def loss(self, step):
        size = torch.ones(len(step.batch.ids))
        return {"size": size * (self.scale if step.number == 0 else 1.0)}


def test_a_parameter_without_a_gradient_in_a_step_is_not_changed_by_it(data):
    term = Once()
    training = Trainer(toy_plan(data, replace(QUICK, weight_decay=0.1), terms={"once": term}))
    batch, values = next(training._batches(0)), []
    for index in range(2):
        training.train_step(batch, index)
        values.append(term.scale.item())
    assert values[0] != 0.5 and values[1] == values[0]  # neither by momentum nor by weight decay


def test_a_long_training_in_steps_makes_several_passes_an_epoch(data):
    plan = toy_plan(data, replace(QUICK, steps=202))  # 2 steps a pass, at most 100 epochs
    training = Trainer(plan)
    assert training.run_epoch(Silent())["step"] == plan.steps_per_epoch == 4


def test_terms_read_their_soft_labels_in_every_step(data, tmp_path):
    class Soft(Term):
        def soft_labels(self, found):
            size = found.source.image(data.names[0]).shape[:2]
            confidence = np.full(size, 0.5, np.float32)
            return lambda image_id, task: SoftLabel(found.source.label(image_id, task), confidence)

        def loss(self, step):
            soft = step.batch.soft[step.name]["depth"]
            return {"confidence": soft.confidence.mean((1, 2, 3)) + 0 * step.losses["depth"]}

    training = Trainer(toy_plan(data, QUICK, terms={"soft": Soft()}))
    training.prepare(tmp_path, Silent(), resumed=False)
    training.run_epoch(Silent())
    assert training.step == 2


def test_the_log_has_the_seconds_that_an_epoch_took(data, monkeypatch):
    times = iter((10.0, 12.3456))
    clock = SimpleNamespace(perf_counter=lambda: next(times))
    monkeypatch.setattr("labelgrid.train.trainer.time", clock)
    record = Trainer(toy_plan(data, QUICK)).run_epoch(Silent())
    assert record["seconds"] == 2.346 and 0 < record["waited"] < 60


@pytest.mark.parametrize("optimiser", ["adam", "adamw"])
def test_the_head_of_a_task_without_labels_does_not_shrink(tmp_path, optimiser):
    made = make_dataset(tmp_path, n=6, size=(32, 64), tasks=("semseg", "depth"))
    options = TrainOptions(
        epochs=3, batch=3, learning_rate=1e-2, weight_decay=0.5, optimiser=optimiser, device="cpu"
    )
    trainer = Trainer(toy_plan(made, options))
    batch = next(iter(trainer._batches(0)))
    only = {n: t.where(torch.tensor([n == "semseg"] * 3)) for n, t in batch.targets.items()}
    head = trainer.network.get_submodule("final.depth.convolution").weight
    other = trainer.network.get_submodule("final.semseg.convolution").weight
    trainer.train_step(batch, 0)  # the optimiser has moments of both
    before, moved = head.detach().clone(), other.detach().clone()
    for index in range(4):
        trainer.train_step(replace(batch, targets=only), index)
    assert torch.equal(head, before) and not torch.equal(other, moved)
    none = {n: t.where(torch.tensor([False] * 3)) for n, t in batch.targets.items()}
    moved = other.detach().clone()
    trainer.train_step(replace(batch, targets=none), 0)
    assert torch.equal(other, moved), "without any label nothing is trained"


def test_rescaled_losses_reach_the_balancer(data):
    found = {}
    for rescale in (False, True):
        plan = toy_plan(
            data, QUICK, objective=ObjectiveOptions(reduction="image_sum", rescale=rescale)
        )
        plan = replace(plan, balancer=Balancing(plan.tasks))
        training = Trainer(plan)
        batch = next(training._batches(0))
        targets = {
            n: t.where(torch.arange(len(batch.ids)) >= i)
            for i, (n, t) in enumerate(batch.targets.items())
        }
        torch.manual_seed(0)
        training.train_step(replace(batch, targets=targets), 0)
        (found[rescale],) = plan.balancer.steps
    assert found[True].present.sum(1).tolist() == [1, 2, 2]
    for name, loss in found[True].losses.items():
        torch.testing.assert_close(loss, found[False].losses[name] * torch.tensor([2.0, 1.0, 1.0]))


def test_the_first_losses_of_a_continued_network_are_not_kept(data):
    assert "start" in Trainer(toy_plan(data, QUICK)).run_epoch(Silent())
    assert "start" not in Trainer(toy_plan(data, QUICK, continued=True)).run_epoch(Silent())


def test_a_step_without_gradients_has_no_factors(data):
    plan = toy_plan(data, QUICK)
    trainer = Trainer(plan)
    plan.balancer.factors = {"depth": torch.tensor(9.0)}  # of an earlier step
    batch = next(iter(trainer._batches(0)))
    nothing = {
        name: target.where(torch.zeros(len(batch.ids)).bool())
        for name, target in batch.targets.items()
    }
    trainer.train_step(replace(batch, targets=nothing), 0)
    assert plan.balancer.factors == {}


def test_losses_that_are_no_numbers_are_named():
    assert set(non_finite_values({"a": torch.ones(2), "b": torch.tensor([1.0, float("inf")])})) == {
        "b"
    }


def test_parameters_and_running_statistics_are_looked_at_and_other_buffers_are_not():
    module = torch.nn.Sequential(torch.nn.BatchNorm2d(2))
    module.register_buffer("best", torch.tensor(torch.inf))
    found = trained_values({"": torch.nn.Linear(1, 1), "term": module})
    own = {"term.0.weight", "term.0.bias", "term.0.running_mean", "term.0.running_var"}
    assert set(found) == {"weight", "bias", *own}
    module[0].running_var[1] = torch.nan
    assert set(non_finite_values(trained_values({"term": module}))) == {"term.0.running_var"}


class OneConvolution(Network):
    """The smallest network with an encoder."""

    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.ReLU())


@pytest.fixture
def compiles_soon():
    """The compiler starts no workers of its own, and does not try out the processor by compilations."""
    from torch._inductor import config

    with config.patch({"compile_threads": 1, "cpp.vec_isa_ok": True}):
        yield


@pytest.mark.skipif(not shutil.which("c++"), reason="no C++ compiler was found")
@pytest.mark.usefixtures("compiles_soon")
def test_a_compiled_encoder_computes_the_same_and_keeps_its_names():
    network = OneConvolution()
    image = torch.rand(2, 3, 16, 16)
    names = list(network.state_dict())
    found = []
    for change in (lambda network: None, compile_encoder):
        network.zero_grad()
        change(network)
        features = network.encode(image)
        features.sum().backward()
        gradients = [parameter.grad.clone() for parameter in network.parameters()]
        found.append([features.detach(), *gradients])
    for plain, compiled in zip(*found, strict=True):
        assert torch.allclose(plain, compiled, rtol=1e-5, atol=1e-5)
    assert list(network.state_dict()) == names


def test_the_option_compiles_the_encoder_and_a_resumed_training_may_have_another(data):
    plain, compiled = TrainOptions(), TrainOptions(compile=True)
    trainer = Trainer(toy_plan(data, compiled, net="shared_heads"))
    assert trainer.network.encoder._compiled_call_impl is not None
    assert plain.shaping() == compiled.shaping()


def test_an_encoder_in_parts_is_not_compiled(data):
    plan = toy_plan(data, TrainOptions(compile=True), net="mtan")
    with pytest.raises(TrainingError, match="compiles an encoder, and Mtan"):
        Trainer(plan)


@pytest.mark.parametrize("name", ["pad_net", "mti_net", "shared_heads", "aspp_heads"])
def test_a_frozen_encoder_stays_bitwise_the_same_and_all_else_learns(data, name):
    tasks = toy_plan(data, QUICK).tasks
    network = toy_network(tasks, name, train="frozen")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    trainer = Trainer(toy_plan(data, QUICK, network=network))
    trainer.run_epoch(Silent())
    frozen = {id(value) for value in network.encoder.given.state_dict(keep_vars=True).values()}
    assert frozen
    for key, value in network.state_dict(keep_vars=True).items():
        assert torch.equal(value, before[key]) == (id(value) in frozen), key


def test_the_given_part_of_an_encoder_learns_at_its_own_rate(data):
    tasks = toy_plan(data, QUICK).tasks
    network = toy_network(tasks, rate=0.025)
    trainer = Trainer(toy_plan(data, QUICK, network=network))
    trainer.run_epoch(Silent())
    rest, given = trainer.optimiser.param_groups
    assert {id(p) for p in given["params"]} == {id(p) for p in network.encoder.given.parameters()}
    assert len(rest["params"]) + len(given["params"]) == len(list(network.parameters()))
    assert given["lr"] == pytest.approx(0.025 * rest["lr"]) and rest["lr"] == trainer.rate
    for rate in (1, 0.5):
        frozen = toy_network(tasks, train="frozen", rate=rate)
        assert len(Trainer(toy_plan(data, QUICK, network=frozen)).optimiser.param_groups) == 1


def test_a_balancer_of_shared_gradients_says_that_nothing_shared_learns(data):
    plan = toy_plan(data, QUICK)
    network = toy_network(plan.tasks, "shared_heads", train="frozen", fused=0)
    weights = fixed_weights(plan.tasks, ObjectiveOptions())
    balancer = mgda.build(weights, plan.balancer.reduce, mgda.Options())
    trainer = Trainer(replace(plan, network=network, balancer=balancer))
    with pytest.raises(TrainingError, match="encoder is frozen"):
        trainer.run_epoch(Silent())


def test_several_processes_leave_the_statistics_of_a_frozen_encoder(data):
    plan = toy_plan(data, QUICK)
    network = toy_network(plan.tasks, train="frozen")
    trainer = Trainer(replace(plan, network=network))
    averaged = {id(value) for value in trainer._statistics()}
    assert averaged.isdisjoint(map(id, network.encoder.given.buffers()))
    full = Trainer(toy_plan(data, QUICK))
    assert len(list(full._statistics())) > len(averaged) > 0
