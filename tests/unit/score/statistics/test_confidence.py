"""The confidence of one plain prediction, against float64; tasks that predict values have none."""

import numpy as np
import pytest

from labelgrid.score.statistics.confidence import Options, build
from tests.scoring import CLASSES, job_of, make_pool, predictions, scored, shannon


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_pool(tmp_path_factory.mktemp("data"))


def slow(measure, prediction):
    full = prediction if len(prediction) > 1 else np.concatenate([prediction, 1 - prediction])
    ordered = np.sort(full, 0)
    values = {
        "entropy": shannon(full),
        "least_confidence": 1 - ordered[-1],
        "margin": 1 - (ordered[-1] - ordered[-2]),
    }
    return values[measure].mean()


@pytest.mark.parametrize("measure", ["entropy", "least_confidence", "margin"])
@pytest.mark.parametrize(
    ("at", "known"), [("original", True), ("half", True), ("half", False), ("head", True)]
)
def test_it_is_the_mean_over_pixels_of_one_pass_without_dropout(made, measure, at, known):
    job = job_of(made, build(0, Options(measure=measure, at=at, known=known)))
    wanted = []
    for name in made.names:
        found = predictions(job, job.model.network, name=name, at=at, known=known)
        wanted.append([slow(measure, found[t]) if t in CLASSES else 0.0 for t in job.tasks])
    np.testing.assert_allclose(scored(job, made.names), wanted, rtol=1e-4, atol=1e-5)


def test_known_labels_change_it(made):
    fed, unfed = (
        scored(job_of(made, build(0, Options(known=known))), made.names) for known in (True, False)
    )
    assert not np.allclose(fed, unfed)
