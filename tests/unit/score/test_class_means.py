"""Statistics of classes equal slow loops over pixels.

Known labels are fed in, padding is left out.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from labelgrid.score.statistics import class_entropy, classes
from labelgrid.testing import statistics as laws
from tests.support import make_dataset

COVERS = ["labelgrid.score.statistics.classes", "labelgrid.score.statistics.class_entropy"]
KINDS = ("depth", "semseg", "saliency")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_dataset(
        tmp_path_factory.mktemp("pool"), n=4, size=[(32, 64), (48, 40)], tasks=KINDS
    )


@pytest.fixture(autouse=True)
def without_gradients():
    """As the pool is scored."""
    with torch.inference_mode():
        yield


def slow(batch, of):
    """Means over pixels, by loops: `of` gives the values of the classes of one pixel."""
    known = {name: target for name, target in batch.batch.targets.items() if target.present.any()}
    assert known
    raws = batch.model.network.decode(batch.features, known).final
    widest = raws["semseg"].shape[1]
    found = np.zeros((len(batch.keys), len(batch.tasks), widest))
    for column, name in enumerate(batch.tasks):
        raw = raws[name].detach().double().numpy()
        for row, frame in enumerate(batch.batch.frames):
            rows, columns = frame.box(*raw.shape[-2:])
            pixels = raw[row][:, rows, columns].reshape(raw.shape[1], -1).T
            if name == "depth":
                continue
            if name == "saliency":
                p = [[q, 1 - q] for q in (1 / (1 + math.exp(-value)) for value in pixels[:, 0])]
            else:
                p = [[math.exp(v) / sum(map(math.exp, pixel)) for v in pixel] for pixel in pixels]
            values = np.mean([of(each) for each in p], axis=0)
            found[row, column, : len(values)] = values
    return found.reshape(len(found), -1)


def share(p):
    return [float(index == int(np.argmax(p))) for index in range(len(p))]


def entropy(p):
    total = -sum(q * math.log(q) for q in p)
    return [q * total for q in p]


@pytest.mark.parametrize("module, of", [(classes, share), (class_entropy, entropy)])
def test_values_are_those_of_slow_loops(module, of, made, tmp_path):
    case = laws.trained_case(module.build(0, module.Options()), made, tmp_path)
    for batch in case.batches(case.names, 2):
        np.testing.assert_allclose(case.statistic(batch), slow(batch, of), rtol=1e-4, atol=1e-6)


def test_shares_add_up_to_one_and_a_task_without_classes_has_zeros(made, tmp_path):
    case = laws.trained_case(classes.build(0, classes.Options()), made, tmp_path)
    (batch,) = case.batches(case.names, 4)
    found = np.asarray(case.statistic(batch)).reshape(4, 3, -1)
    expected = [0.0 if task == "depth" else 1.0 for task in batch.tasks]
    np.testing.assert_allclose(found.sum(2), np.tile(expected, (4, 1)), rtol=1e-5)


def test_a_task_without_a_label_in_training_has_zeros(made, tmp_path):
    case = laws.trained_case(classes.build(0, classes.Options()), made, tmp_path)
    (batch,) = case.batches(case.names, 4)
    column = list(batch.tasks).index("semseg")
    for trained, total in ((frozenset({"depth", "semseg"}), 1.0), (frozenset({"depth"}), 0.0)):
        some = replace(batch, model=replace(batch.model, trained=trained))
        found = np.asarray(case.statistic(some)).reshape(4, 3, -1)
        np.testing.assert_allclose(found[:, column].sum(1), np.full(4, total), rtol=1e-5)


def test_entropies_of_the_classes_add_up_to_the_mean_entropy(made, tmp_path):
    case = laws.trained_case(class_entropy.build(0, class_entropy.Options()), made, tmp_path)
    (batch,) = case.batches(case.names[:1], 1)
    column = list(batch.tasks).index("semseg")
    found = np.asarray(case.statistic(batch)).reshape(1, 3, -1)[0, column].sum()
    raw = batch.model.network.decode(batch.features, dict(batch.batch.targets)).final["semseg"]
    rows, columns = batch.batch.frames[0].box(*raw.shape[-2:])
    p = torch.softmax(raw.double(), 1)[0][:, rows, columns]
    assert found == pytest.approx(float(-(p * p.log()).sum(0).mean()), rel=1e-5)


def test_without_any_class_task_there_is_a_column_of_zeros_for_each_task(tmp_path):
    made = make_dataset(tmp_path / "made", n=2, size=(32, 64), tasks=("depth", "normals"))
    case = laws.trained_case(classes.build(0, classes.Options()), made, tmp_path)
    (batch,) = case.batches(case.names, 2)
    assert np.asarray(case.statistic(batch)).tolist() == [[0, 0], [0, 0]]
