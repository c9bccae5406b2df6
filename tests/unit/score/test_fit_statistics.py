"""Statistics with modules of their own: trained once, resumed, their weights kept and stamped, the model untouched."""

import numpy as np
import pytest
import torch
from torch import nn

from labelgrid.basics.errors import ModelError, PluginError
from labelgrid.basics.progress import Silent
from labelgrid.score.fit_statistics import FitImages, fit_statistics
from labelgrid.score.pool import ScoringJob
from labelgrid.score.statistic import TrainedStatistic
from labelgrid.score.table import weights_path, weights_stamp
from labelgrid.score.weights import read_weights, write_weights
from labelgrid.tasks.task import build_all, definitions
from labelgrid.train.train_options import ObjectiveOptions
from labelgrid.train.trained_model import TrainedModel
from tests.support import make_dataset
from tests.toys import DATA, source_of, toy_network

COVERS = ["labelgrid.score.statistic", "labelgrid.score.weights"]


class Line(TrainedStatistic):
    """A linear layer on pooled features; notes what it was trained with."""

    axis = "image"

    def __init__(self, trains=lambda context: None):
        super().__init__()
        self.trains, self.contexts = trains, []

    def setup(self, example):
        self.line = nn.Linear(example.features.deepest.shape[1], 1)

    def fit(self, context):
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        self.contexts.append(context)
        self.trains(context)

    def __call__(self, batch):
        return self.line(batch.features.deepest.mean((2, 3)))[:, 0].numpy()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("data"), n=5, size=(32, 64), tasks=("depth",))


def job_of(made, statistic, stamp="one", name="line"):
    found = definitions(list(made.rows))
    tasks = build_all(found)
    with torch.random.fork_rng():
        model = TrainedModel(network=toy_network(tasks), terms={"own": nn.Linear(1, 1)})
    return ScoringJob(
        model=model,
        tasks=tasks,
        definitions=found,
        source=source_of(made),
        data=DATA,
        statistics={name: statistic},
        stamp={"model": stamp},
        batch=2,
    )


def fitted(made, folder, statistic, stamp="one", name="line", seed=3):
    folder.mkdir(exist_ok=True)
    job = job_of(made, statistic, stamp, name)
    images = FitImages(
        labelled=list(made.names[:3]),
        pool=list(made.names),
        seed=seed,
        train_member=lambda member: TrainedModel(network=job.model.network),
        objective=ObjectiveOptions(),
    )
    return fit_statistics(job, images, folder, Silent())


def states_equal(one, other):
    return all(
        torch.equal(one.state_dict()[name], value) for name, value in other.state_dict().items()
    )


def test_weights_are_drawn_from_a_stream_of_their_own_and_the_callers_is_not_moved(made, tmp_path):
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    one = Line()
    fitted(made, tmp_path / "a", one)
    assert torch.equal(torch.rand(1), expected)
    other, seeded, named = Line(), Line(), Line()
    fitted(made, tmp_path / "b", other)
    fitted(made, tmp_path / "c", seeded, seed=4)
    fitted(made, tmp_path / "d", named, name="other")
    assert (
        states_equal(one, other) and not states_equal(one, seeded) and not states_equal(one, named)
    )


def test_a_context_has_labelled_and_pool_batches_in_an_order_of_each_epoch(made, tmp_path):
    statistic = Line()
    fitted(made, tmp_path, statistic)
    (context,) = statistic.contexts
    orders = [
        [name for batch in context.pool(epoch) for name in batch.batch.ids]
        for epoch in (0, 0, 1, 2)
    ]
    assert orders[0] == orders[1] and len({tuple(order) for order in orders}) > 1
    assert all(sorted(order) == list(made.names) for order in orders)
    batch = next(context.labelled(0))
    assert (
        set(batch.batch.ids) <= set(made.names[:3]) and batch.batch.targets["depth"].present.all()
    )
    assert (
        set(context.model.terms) == {"own"}
        and context.train_member("a").network is context.model.network
    )


def test_the_frozen_network_gets_no_gradient_and_learns_again_afterwards(made, tmp_path):
    def train(context):
        for batch in context.labelled(0):
            final = batch.model.network.decode(batch.features).final["depth"]
            assert not final.requires_grad and not batch.features.deepest.requires_grad

    job = fitted(made, tmp_path, Line(train))
    assert all(p.requires_grad for p in job.model.network.parameters())


def test_a_statistic_that_changes_a_buffer_of_the_network_is_refused(made, tmp_path):
    def spoil(context):
        network = context.model.network.train()
        network.encode(torch.zeros(2, 3, 32, 64))
        network.eval()

    with pytest.raises(
        PluginError, match="'line' changed the trained model during its own training: network"
    ):
        fitted(made, tmp_path, Line(spoil))
    assert not list(tmp_path.glob("*.weights"))


def test_a_statistic_that_changes_a_buffer_that_no_checkpoint_holds_is_refused(made, tmp_path):
    job = job_of(made, Line(lambda context: context.model.network.offset.add_(1)))
    job.model.network.register_buffer("offset", torch.zeros(1), persistent=False)
    images = FitImages(
        labelled=list(made.names[:3]),
        pool=list(made.names),
        seed=0,
        train_member=lambda _: job.model,
        objective=ObjectiveOptions(),
    )
    with pytest.raises(
        PluginError, match="changed the trained model during its own training: network"
    ):
        fit_statistics(job, images, tmp_path, Silent())


def test_a_statistic_that_trains_a_term_is_refused(made, tmp_path):
    def spoil(context):
        with torch.no_grad():
            context.model.terms["own"].weight.add_(1)

    with pytest.raises(PluginError, match="changed the trained model during its own training: own"):
        fitted(made, tmp_path, Line(spoil))


def test_kept_weights_are_taken_under_the_same_stamp_and_trained_anew_under_another(made, tmp_path):
    def train(context):
        (context.folder / "state").write_text("half")

    first, second, third = Line(train), Line(train), Line(train)
    stamps = [dict(fitted(made, tmp_path, one).stamp) for one in (first, second)]
    assert stamps[0] == stamps[1] == {"model": "one", **weights_stamp(tmp_path, ["line"])}
    assert len(first.contexts) == 1 and not second.contexts and states_equal(first, second)
    assert not second.line.weight.requires_grad and not second.training
    fitted(made, tmp_path, third, stamp="two")
    assert len(third.contexts) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["line.weights"]


def test_what_a_stopped_training_left_is_there_again_unless_the_stamp_is_another(made, tmp_path):
    left = []

    def train(context):
        left.append((context.folder / "state").exists())
        (context.folder / "state").write_text("half")
        if len(left) in (1, 3):
            raise KeyboardInterrupt

    for stamp in ("one", "two"):
        with pytest.raises(KeyboardInterrupt):
            fitted(made, tmp_path, Line(train), stamp)
        fitted(made, tmp_path, Line(train), stamp)
    assert left == [False, True, False, True]


def test_a_job_without_such_statistics_is_left_as_it_is(made, tmp_path):
    job = job_of(made, object())
    assert (
        fit_statistics(
            job,
            FitImages(
                labelled=[],
                pool=[],
                seed=0,
                train_member=lambda _: job.model,
                objective=ObjectiveOptions(),
            ),
            tmp_path,
            Silent(),
        ).stamp
        == job.stamp
    )


def test_the_stamp_changes_with_the_weights(tmp_path):
    path = weights_path(tmp_path, "mine.own:build")
    assert path.name == "mine.own-build.weights"
    stamps = [weights_stamp(tmp_path, ["mine.own:build"])]
    for value in (0.0, 1.0):
        write_weights(path, {"state": {"a": torch.full((2,), value)}})
        stamps.append(weights_stamp(tmp_path, ["mine.own:build"]))
    assert len({stamp["weights"] for stamp in stamps}) == 3


def test_weights_that_run_code_or_are_damaged_are_refused(tmp_path):
    path = tmp_path / "a.weights"
    for content in (b"", b"half"):
        path.write_bytes(content)
        with pytest.raises(
            ModelError, match=r"weights of a statistic cannot be read(.|\n)*labelgrid score"
        ):
            read_weights(path)
    torch.save({"state": np.random.default_rng}, path)
    with pytest.raises(ModelError, match="cannot be read"):
        read_weights(path)
