"""The predicted losses of the pool are those of the trained term, with the known labels fed in."""

import numpy as np
import pytest
import torch

from labelgrid.score.pool import pool_batches
from labelgrid.score.statistics.learning_loss import Options, build
from labelgrid.train.seeding import seed_torch
from labelgrid.train.terms import learning_loss
from tests.scoring import job_of, make_pool, scored


@pytest.mark.parametrize("predict", ["tasks", "image"])
def test_they_are_the_terms_own_for_the_whole_network(tmp_path, predict):
    made = make_pool(tmp_path)
    job = job_of(made, build(0, Options()))
    network = job.model.network
    with seed_torch(0, "module"):
        term = learning_loss.build(
            job.tasks, network, learning_loss.Options(predict=predict, width=8)
        ).eval()
    job.model.terms["learning_loss"] = term
    found, wanted = scored(job, made.names), {True: [], False: []}
    for pool in pool_batches(job, made.names):
        for known, rows in wanted.items():
            with torch.inference_mode():
                output = network(pool.batch.images, pool.batch.targets if known else None)
                rows.append(
                    term.predict(
                        output.features, lambda output=output: output.task_features
                    ).numpy()
                )
    np.testing.assert_allclose(found, np.concatenate(wanted[True]), rtol=1e-4, atol=1e-6)
    assert np.allclose(found, np.concatenate(wanted[False]), rtol=1e-4, atol=1e-6) == (
        predict == "image"
    )
    assert len(np.unique(found)) == (found.size if predict == "tasks" else len(found))
