"""Flip consistency: against float64, and on networks that are, or are not, the same for a mirrored image."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from labelgrid.data.data_options import DataOptions
from labelgrid.ledger.grid import TaskRow
from labelgrid.nets.network import Features, Network, Output
from labelgrid.score.statistics.flips import Options, build, unmirror_values
from labelgrid.tasks.task import TaskDef, build_all, definitions
from tests.scoring import entropy, job_of, make_pool, predictions, scored, shannon

LEAST = 0.5 * np.log(2 * np.pi * np.e * 1e-6)  # the entropy, in nats, of values that do not differ


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_pool(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("at", ["original", "half", "head"])
def test_it_is_the_sum_over_pixels_of_the_uncertainty_of_both_predictions(made, at):
    job = job_of(made, build(0, Options(at=at)))
    wanted = []
    for name in made.names:
        own = predictions(job, job.model.network, name, at, known=False)
        other = predictions(job, job.model.network, name, at, known=False, mirrored=True)
        back = {task: values[..., ::-1] * signs(task) for task, values in other.items()}
        pixels = np.prod(job.source.image(name).shape[:2])
        wanted.append(
            [pixels * entropy(job.tasks[t].kind, np.stack([own[t], back[t]])) for t in job.tasks]
        )
    np.testing.assert_allclose(scored(job, made.names), wanted, rtol=2e-3)


def signs(task):
    return np.array([-1, 1, 1]).reshape(3, 1, 1) if task == "normals" else 1


class ByPixel(Network):
    """Predicts each pixel from its colour and its neighbours to the left and right, the same way at every place.

    Args:
        sign: the x of its normals is the difference of the neighbours, or its size: one forgets
            which side they are on.
    """

    def __init__(self, tasks, sign):
        super().__init__()
        self.encoder, self.sign = nn.Identity(), sign
        self.channels = {name: task.channels for name, task in tasks.items()}
        self.own = nn.Parameter(torch.zeros(1))

    def encode(self, image):
        return Features(image, (image,))

    def decode(self, features, known=None):
        assert not known, "no known label is fed in"
        image = functional.avg_pool2d(features.shared, 4)
        wide = functional.pad(image, (1, 1, 0, 0), mode="replicate").mean(1, keepdim=True)
        across = wide[..., 2:] - wide[..., :-2]
        across = across if self.sign else across.abs()
        red = image[:, :1]
        final = {name: red * torch.arange(n).view(-1, 1, 1) for name, n in self.channels.items()}
        final["depth"] = image.mean(1, keepdim=True)
        final["normals"] = torch.cat([5 * across, red, torch.ones_like(across)], 1)
        return Output(initial=(), final=final, features=features, task_features=final)


def test_a_network_that_mirrors_its_prediction_with_the_image_has_the_least_values(made):
    tasks = build_all(definitions(list(made.rows)))
    for at in ("original", "half", "head"):
        job = job_of(made, build(0, Options(at=at)), ByPixel(tasks, sign=True))
        pixels = np.array([np.prod(job.source.image(name).shape[:2]) for name in made.names])
        found = dict(zip(tasks, scored(job, made.names).T / pixels, strict=True))
        np.testing.assert_allclose(found["depth"], LEAST, rtol=1e-4)
        np.testing.assert_allclose(found["normals"], 3 * LEAST, rtol=1e-4)
        one = [
            predictions(job, job.model.network, name=name, at=at, known=False)
            for name in made.names
        ]
        for task in ("semseg", "edges"):
            np.testing.assert_allclose(
                found[task], [shannon(found_[task]).mean() for found_ in one], rtol=1e-4
            )


def test_normals_whose_x_forgets_its_sign_stand_out(made):
    tasks = build_all(definitions(list(made.rows)))
    right, wrong = (
        dict(
            zip(
                tasks,
                scored(job_of(made, build(0, Options()), ByPixel(tasks, sign=sign)), made.names).T,
                strict=True,
            )
        )
        for sign in (True, False)
    )
    assert (wrong["normals"] > right["normals"] + 1000).all()
    np.testing.assert_allclose(wrong["depth"], right["depth"])


def test_classes_of_a_side_are_exchanged_as_the_tasks_labels_are():
    row = TaskRow("parts", "semseg", 1.0, {"classes": ["none", "left arm", "right arm"]})
    task = TaskDef.of(row)

    class Sided:
        def transform(self, value, valid, geometry):
            moved, known = task.transform(value, valid, geometry)
            return np.array([0, 2, 1])[moved], known

    prediction = torch.tensor([0.2, 0.7, 0.1]).view(1, 3, 1, 1)
    np.testing.assert_allclose(
        unmirror_values(prediction, task.build(), Sided()).flatten(), [0.2, 0.1, 0.7]
    )
    np.testing.assert_allclose(unmirror_values(prediction, task.build(), task), prediction)


def test_padding_counts_for_nothing(made):
    tasks = build_all(definitions(list(made.rows)))
    for at in ("half", "head"):
        job = job_of(made, build(0, Options(at=at)), ByPixel(tasks, sign=True))
        padded = replace(job, data=DataOptions(size=(32, 64), fit="pad"))
        pixels = np.array([np.prod(job.source.image(name).shape[:2]) for name in made.names])
        found = dict(zip(tasks, scored(padded, made.names).T / pixels, strict=True))
        np.testing.assert_allclose(found["normals"], 3 * LEAST, rtol=1e-4)
