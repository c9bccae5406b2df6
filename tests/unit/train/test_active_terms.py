"""The terms of a training: views of their own names, images of their own choice, and what they are prepared with."""

from dataclasses import replace

import pytest
import torch

from labelgrid.basics.progress import Silent
from labelgrid.train.checkpoint import save
from labelgrid.train.loop import fit, use_weights
from labelgrid.train.model import TrainedModel
from labelgrid.train.options import TrainOptions
from labelgrid.train.term import Term
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
    ] == [
        "one-build",
        "other",
    ]
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
