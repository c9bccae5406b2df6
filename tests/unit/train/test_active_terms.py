"""The terms of a training: views of their own names, images of their own choice, and what they are prepared with."""

from dataclasses import replace

import pytest
import torch
from lightning_fabric.plugins import MixedPrecision
from torch import nn

from labelgrid.basics.errors import TrainingError
from labelgrid.basics.progress import Silent
from labelgrid.train.checkpoint import load, save
from labelgrid.train.loop import fit, use_weights
from labelgrid.train.term import OwnOptimiser, Term
from labelgrid.train.train_options import TrainOptions
from labelgrid.train.trained_model import TrainedModel
from labelgrid.train.trainer import Trainer
from tests.rounds import Killed, Killing
from tests.support import make_dataset
from tests.toys import toy_network, toy_plan

OPTIONS = TrainOptions(epochs=2, batch=2, known=0.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("data"), n=6, size=(32, 64), tasks=("depth",))


class Viewing(Term):
    """A view named `crop`, and what was seen of it."""

    def __init__(self, make):
        super().__init__()
        self.make, self.seen = make, []

    def views(self):
        return {"crop": self.make}

    def loss(self, step):
        self.seen.append((step, step.views["crop"]))
        return {}


def crop(batch, draws):
    """A part of the batch's images, drawn for each image, of another size."""
    starts = [int(torch.randint(33, (), generator=draws.generator(name))) for name in batch.ids]
    images = torch.stack(
        [image[..., start : start + 32] for image, start in zip(batch.images, starts, strict=True)]
    )
    return replace(batch, images=images, targets={})


def others(batch, draws):
    return draws.others(3)


def run(data, **terms):
    training = Trainer(toy_plan(data, OPTIONS, terms=terms))
    training.run_epoch(Silent())
    return training


def test_two_terms_may_both_have_a_view_of_one_name(data):
    first, second = Viewing(crop), Viewing(others)
    run(data, first=first, second=second)
    for (step, (mine, output)), (_, (its, other)) in zip(first.seen, second.seen, strict=True):
        assert mine.images.shape == (2, 3, 32, 32) and output.final["depth"].shape[0] == 2
        assert len(its.ids) == 3 and not set(its.ids) & set(step.batch.ids)
        assert its.targets["depth"].present.all() and other.final["depth"].shape[0] == 3


def test_a_view_gets_no_known_labels_but_those_that_it_makes(data):
    def given(batch, draws):
        return replace(batch, known=dict(batch.known))

    inherited, own = Viewing(crop), Viewing(given)
    training = Trainer(
        toy_plan(data, replace(OPTIONS, known=1.0), terms={"inherited": inherited, "own": own})
    )
    seen, forward = [], training.network.forward
    training.network.forward = lambda images, known=None: (
        seen.append(known) or forward(images, known)
    )
    training.train_step(next(training._batches(0)), 0)
    assert [known is None for known in seen] == [False, True, False]
    assert not inherited.seen[0][1][0].known and own.seen[0][1][0].known["depth"].present.all()


def test_views_are_the_same_when_a_training_is_resumed(data, tmp_path):
    def views(term):
        return [(batch.ids, batch.images) for _, (batch, _) in term.seen]

    for make in (crop, others):
        whole, cut, rest = Viewing(make), Viewing(make), Viewing(make)
        run(data, it=whole).run_epoch(Silent())
        save(run(data, it=cut).checkpoint(), tmp_path / "last.ckpt")
        resumed = Trainer(toy_plan(data, OPTIONS, terms={"it": rest}))
        resumed.resume(tmp_path / "last.ckpt")
        resumed.run_epoch(Silent())
        for (ids, images), (same, again) in zip(
            views(whole), views(cut) + views(rest), strict=True
        ):
            assert ids == same and torch.equal(images, again)
        assert len({images.sum().item() for _, images in views(whole)}) == 6


class Preparing(Term):
    """Takes what it is given."""

    def __init__(self):
        super().__init__()
        self.seen, self.resumed, self.drawn, self.steps = [], [], [], []

    def resume(self, data):
        self.resumed.append((data.folder / "made").exists())

    def prepare(self, data):
        self.seen.append(data)
        self.drawn.append(torch.rand(2))
        self.batches = [batch.images for epoch in (0, 1) for batch in data.batches(epoch)]
        data.folder.mkdir(parents=True)
        (data.folder / "made").touch()

    def loss(self, step):
        self.steps.append((step.number, step.progress, step.previous()))
        return {}


def test_a_term_is_prepared_once_with_batches_a_seed_and_a_folder_of_its_own(data, tmp_path):
    one, other = Preparing(), Preparing()
    plan = toy_plan(data, OPTIONS, terms={"one:build": one, "other": other})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(8)
        fit(plan, tmp_path, Silent())
    assert [
        path.parent.name.partition(".")[0] for path in sorted(tmp_path.glob("terms/*/made"))
    ] == ["one-build", "other"]
    assert len(one.seen) == 1 and not one.resumed and one.seen[0].seed != other.seen[0].seed
    assert len(one.batches) == 6 and not torch.equal(one.batches[0], one.batches[3])
    assert not torch.equal(one.drawn[0], other.drawn[0])
    again = Preparing()
    torch.manual_seed(9)
    fit(toy_plan(data, OPTIONS, terms={"one:build": again}), tmp_path / "again", Silent())
    assert torch.equal(again.drawn[0], one.drawn[0])
    assert all(torch.equal(a, b) for a, b in zip(again.batches, one.batches, strict=True))
    assert [step[:2] for step in one.steps] == [(n, n / 6) for n in range(6)]


def test_a_resumed_training_is_not_prepared_again(data, tmp_path):
    fit(toy_plan(data, OPTIONS, terms={"it": Preparing()}), tmp_path / "whole", Silent())
    with pytest.raises(Killed):
        fit(toy_plan(data, OPTIONS, terms={"it": Preparing()}), tmp_path / "cut", Killing(5))
    again = Preparing()
    fit(toy_plan(data, OPTIONS, terms={"it": again}), tmp_path / "cut", Silent())
    assert again.resumed == [True], "it finds what was prepared"
    assert not again.seen and [number for number, *_ in again.steps] == [3, 4, 5]


def test_a_preparation_of_another_training_is_not_resumed(data, tmp_path):
    """Without a checkpoint yet, the folder alone says what was prepared: of other labels or another recipe."""
    folders = []
    for identity in ('{"data": 1}', '{"data": 2}'):
        term = Preparing()
        with pytest.raises(Killed):
            fit(
                toy_plan(data, OPTIONS, terms={"it": term}, identity=identity), tmp_path, Killing(1)
            )
        (tmp_path / "last.ckpt").unlink(missing_ok=True)
        folders.append(term.seen[0].folder)
    assert folders[0] != folders[1]


def test_the_model_of_the_round_before_is_restored_once_and_none_in_a_first_round(data, tmp_path):
    asked = []

    def previous():
        asked.append(1)
        return TrainedModel(network=toy_network(plan.tasks))

    term = Preparing()
    plan = toy_plan(data, OPTIONS)
    fit(replace(plan, terms={"it": term}, previous=previous), tmp_path / "a", Silent())
    assert (
        len(asked) == 1
        and isinstance(term.steps[0][2], TrainedModel)
        and term.steps[0][2] is term.steps[5][2]
    )
    term = Preparing()
    fit(replace(toy_plan(data, OPTIONS), terms={"it": term}), tmp_path / "b", Silent())
    assert term.steps[0][2] is None


def test_nobody_is_asked_for_the_model_of_the_round_before_without_need(data, tmp_path):
    def previous():
        raise AssertionError

    fit(
        replace(toy_plan(data, OPTIONS, terms={"it": Viewing(crop)}), previous=previous),
        tmp_path,
        Silent(),
    )


def test_other_weights_are_put_back(data):
    network = toy_network(toy_plan(data, OPTIONS).tasks)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    zeros = {name: torch.zeros_like(value) for name, value in before.items()}
    with use_weights(network, zeros):
        assert not any(value.any() for value in network.state_dict().values())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    with use_weights(network, None):
        assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@pytest.fixture(scope="module")
def data_of_own_optimisers(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("data"), n=4, size=(32, 64), tasks=("depth",))


class Adversary(Term):
    """Whose losses, both of them, depend on the network and on its own layer.

    It detaches nothing.
    """

    def __init__(self, weight=1.0, loss=1.0):
        super().__init__()
        torch.manual_seed(0)
        self.judge, self.weight, self.own = nn.Linear(1, 1), weight, loss
        self.plain = nn.Parameter(torch.ones(()))
        self.optimiser = torch.optim.Adam(self.judge.parameters(), lr=1e-2)

    def verdict(self, step):
        return self.judge(step.output.final["depth"].mean((2, 3)))[:, 0]

    def loss(self, step):
        return {"fool": self.weight * self.plain * self.verdict(step)}

    def optimisers(self):
        return {
            "judge": OwnOptimiser(
                self.optimiser, lambda step: {"judge": self.own * -self.verdict(step)}
            )
        }


def gradients(module):
    return {n: None if p.grad is None else p.grad.clone() for n, p in module.named_parameters()}


def stepped(data_of_own_optimisers, term, **options):
    """One step.

    The gradients of the network and of the term after each optimiser's backward pass.
    """
    training = Trainer(
        toy_plan(
            data_of_own_optimisers, TrainOptions(batch=4, known=0.0, **options), terms={"it": term}
        )
    )
    seen = {}
    for name, optimiser in {"main": training.optimiser, **training.terms.own.optimisers}.items():
        optimiser.step = lambda name=name, real=optimiser.step: (
            seen.__setitem__(name, (gradients(training.network), gradients(term))),
            real(),
        )
    training.network.train()
    torch.manual_seed(0)
    training.train_step(next(training._batches(0)), 0)
    return training, seen


def test_the_main_step_gives_the_own_parameters_no_gradient_but_goes_through_them(
    data_of_own_optimisers,
):
    _, seen = stepped(data_of_own_optimisers, Adversary())
    network, term = seen["main"]
    assert term["judge.weight"] is None and term["judge.bias"] is None and term["plain"] is not None
    without, _ = stepped(data_of_own_optimisers, Adversary(weight=0.0))[1]["main"]
    assert any(not torch.equal(network[n], without[n]) for n in network if network[n] is not None)


def test_the_own_step_gives_nothing_else_a_gradient(data_of_own_optimisers):
    _, seen = stepped(data_of_own_optimisers, Adversary())
    (network, term), (later, own) = seen["main"], seen["it/judge"]
    assert all(
        torch.equal(later[n], g) if g is not None else later[n] is None for n, g in network.items()
    )
    assert own["judge.weight"] is not None and torch.equal(own["plain"], term["plain"])


def test_own_parameters_are_moved_by_their_own_optimiser_alone(data_of_own_optimisers):
    before = Adversary().judge.state_dict()
    training, _ = stepped(data_of_own_optimisers, Adversary(loss=0.0), weight_decay=0.5)
    assert all(
        torch.equal(before[n], v) for n, v in training.plan.terms["it"].judge.state_dict().items()
    )
    main = {id(p) for group in training.optimiser.param_groups for p in group["params"]}
    assert not main & {id(p) for p in training.plan.terms["it"].judge.parameters()}
    training, _ = stepped(data_of_own_optimisers, Adversary(), learning_rate=1e-9)
    moved = training.plan.terms["it"].judge.state_dict()
    torch.testing.assert_close(
        (moved["weight"] - before["weight"]).abs(), torch.full((1, 1), 1e-2), rtol=1e-3, atol=0
    )


def half(data_of_own_optimisers, term):
    """Fabric makes a loss scaler on GPUs alone; PyTorch has one for the CPU, too."""
    training = Trainer(
        toy_plan(data_of_own_optimisers, TrainOptions(batch=4, known=0.0), terms={"it": term})
    )
    training.fabric.strategy.precision = MixedPrecision("16-mixed", "cpu")
    return training


def test_own_steps_are_under_the_loss_scale_which_is_resumed(data_of_own_optimisers, tmp_path):
    first, second = (
        half(data_of_own_optimisers, Adversary()),
        half(data_of_own_optimisers, Adversary()),
    )
    scaled = []
    real = first.fabric.strategy.precision.scaler.scale
    first.fabric.strategy.precision.scaler.scale = lambda loss: (
        scaled.append(real(loss)) or scaled[-1]
    )
    first.network.train()
    batches = [next(first._batches(epoch)) for epoch in range(2)]
    first.train_step(batches[0], 0)
    assert len(scaled) == 2
    scaler = first.checkpoint().scaler
    assert scaler["_growth_tracker"] == 2
    save(first.checkpoint(), tmp_path / "last.ckpt")
    assert second.resume(tmp_path / "last.ckpt") and second.checkpoint().scaler == scaler
    assert load(tmp_path / "last.ckpt").own["it/judge"]["state"][0]["step"] == 1
    second.network.train()
    for training in (first, second):
        torch.manual_seed(1)
        training.train_step(batches[1], 0)
    one, two = (training.plan.terms["it"].judge.weight for training in (first, second))
    assert torch.equal(one, two)


def test_an_own_loss_that_is_no_number_stops_the_training_and_is_named(data_of_own_optimisers):
    with pytest.raises(TrainingError, match=r"The loss of 'it.judge.judge' is nan in epoch 1"):
        stepped(data_of_own_optimisers, Adversary(loss=float("nan")))


def test_a_step_may_have_no_own_loss(data_of_own_optimisers):
    term = Adversary()
    term.optimisers = lambda: {"judge": OwnOptimiser(term.optimiser, lambda step: {})}
    before = {n: v.clone() for n, v in term.judge.state_dict().items()}
    stepped(data_of_own_optimisers, term)
    assert all(torch.equal(before[n], v) for n, v in term.judge.state_dict().items())


def test_averaged_weights_of_two_terms_are_refused(data_of_own_optimisers):
    from labelgrid.basics.errors import PluginError

    class Averaging(Term):
        def evaluated(self):
            return {}

    plan = toy_plan(data_of_own_optimisers, TrainOptions())
    with pytest.raises(
        PluginError, match=r"The terms a and b both choose the weights to evaluate(.|\n)*\[terms\]"
    ):
        Trainer(replace(plan, terms={"a": Averaging(), "b": Averaging()}))
