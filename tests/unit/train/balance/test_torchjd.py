"""TorchJD: which aggregators run, and what is said of those that cannot.

Its gradients are in tests/reference.
"""

import sys
from functools import partial

import pytest
import torch

from labelgrid.basics.errors import PluginError, RecipeError, TrainingError
from labelgrid.train.balance.torchjd import Options, build
from labelgrid.train.objective import supervised_loss
from tests.balancing import FULL, PRESENT, Toy

WEIGHTS = {"a": 1.0, "b": 2.0, "c": 0.5}
REDUCE = partial(supervised_loss, reduction="image_mean")


def made(aggregator, at="features", **arguments):
    return build(WEIGHTS, REDUCE, Options(aggregator, arguments, at))


def test_the_missing_package_is_named_with_how_to_install_it(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "torchjd"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchjd", None)
    with pytest.raises(PluginError, match=r"not installed(.|\n)*pip install 'labelgrid\[balance"):
        made("UPGrad")


@pytest.fixture
def installed():
    pytest.importorskip("torchjd", reason="its aggregators need the extra [balance]")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("at", ["features", "parameters"])
@pytest.mark.parametrize(
    "name", ["AlignedMTL", "ConFIG", "DualProj", "GradDrop", "IMTLG", "MGDA", "PCGrad", "UPGrad"]
)
def test_aggregators_without_a_state_run_with_any_number_of_tasks(name, at):
    balancer, toy = made(name, at), Toy()
    for present in (
        FULL,
        PRESENT,
        PRESENT & torch.tensor([False, True, False]),
        torch.zeros_like(FULL),
    ):
        total = balancer.backward(toy.step(present))
        assert total.isfinite() and all(
            gradient.isfinite().all() for gradient in toy.found().values()
        )
        assert toy.found()["0.weight"].any() == present.any()


@pytest.mark.usefixtures("installed")
def test_arguments_reach_the_aggregator():
    assert made("TrimmedMean", trim_number=1).aggregator.trim_number == 1


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("Median", {}, r"'Median', which TorchJD does not have(.|\n)*UPGrad"),
        ("MeanWeighting", {}, "which TorchJD does not have"),
        ("UPGrad", {"speed": 1.0}, "arguments is wrong for 'UPGrad': .*speed"),
        ("TrimmedMean", {"trim_number": -1}, "arguments is wrong for 'TrimmedMean'"),
        ("GradVac", {}, "has a state for a fixed number of tasks"),
        ("NashMTL", {}, "has a state for a fixed number of tasks"),
    ],
)
def test_an_aggregator_that_cannot_be_built_is_refused(name, arguments, said):
    with pytest.raises(RecipeError, match=said):
        made(name, **arguments)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "arguments"), [("Krum", {"n_byzantine": 1}), ("TrimmedMean", {"trim_number": 2})]
)
def test_an_aggregator_that_needs_more_tasks_is_refused(name, arguments):
    with pytest.raises(
        RecipeError, match=f"'{name}' cannot aggregate the gradients of 3 tasks: .* rows"
    ) as refusal:
        made(name, **arguments)
    assert "UPGrad" in refusal.value.next_step


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "arguments"), [("Krum", {"n_byzantine": 0}), ("TrimmedMean", {"trim_number": 1})]
)
def test_a_batch_with_labels_of_too_few_tasks_is_refused(name, arguments):
    balancer, toy = made(name, **arguments), Toy()
    assert balancer.backward(toy.step(FULL)).isfinite()
    two = PRESENT & torch.tensor([False, True, True])
    with pytest.raises(
        TrainingError, match=f"'{name}' cannot aggregate the gradients of 2 tasks: .* rows"
    ) as refusal:
        balancer.backward(toy.step(two))
    assert "UPGrad" in refusal.value.next_step


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "arguments"), [("Krum", {"n_byzantine": 0}), ("TrimmedMean", {"trim_number": 1})]
)
def test_a_single_tasks_gradient_is_taken_as_it_is(name, arguments):
    one = PRESENT & torch.tensor([False, True, False])
    balancer, toy = made(name, **arguments), Toy()
    balancer.backward(toy.step(one))
    wanted = toy.gradients(toy.shares(one, "image_mean", WEIGHTS)["b"] + toy.other())
    for key, found in toy.found().items():
        torch.testing.assert_close(found, wanted[key])
    assert toy.found()["0.weight"].any() and build({"a": 1.0}, REDUCE, Options(name, arguments))


@pytest.mark.usefixtures("installed")
def test_at_the_features_a_bypass_is_refused():
    with pytest.raises(TrainingError, match='at = "parameters"'):
        made("UPGrad").backward(Toy(around=True).step(FULL))


@pytest.mark.usefixtures("installed")
def test_an_overflow_is_left_to_the_loss_scaler():
    toy = Toy(scale=1e306)
    made("AlignedMTL").backward(toy.step(FULL))  # its eigenvectors cannot be computed
    assert not torch.stack([p.grad.isfinite().all() for p in toy.shared]).all()
