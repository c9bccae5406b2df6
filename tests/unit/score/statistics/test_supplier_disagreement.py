"""The disagreement of a network and a supplier: the task's loss, and nothing where no label is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from labelgrid.basics.files import digest
from labelgrid.data.frame import on_input, target_of
from labelgrid.data.supplied_source import MostTrusted, SuppliedFile, SuppliedLabels
from labelgrid.score.pool import ScoringJob, pool_batches
from labelgrid.score.statistics.supplier_disagreement import Options, build
from tests.scoring import job_of, make_pool, scored
from tests.support import Made

Given = dict[tuple[str, str], Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_pool(tmp_path_factory.mktemp("data"))


def with_labels(job: ScoringJob, *suppliers: tuple[float, Given]) -> ScoringJob:
    """The job with labels of suppliers, each with a trust."""
    by_task: dict[str, list[SuppliedLabels]] = {}
    for trust, given in suppliers:
        for task in job.tasks:
            paths = {name: path for (name, of), path in given.items() if of == task}
            found = {name: SuppliedFile(path, digest(path)) for name, path in paths.items()}
            labels = SuppliedLabels(supplier=str(trust), trust=trust, files=found)
            by_task.setdefault(task, []).append(labels)
    return replace(job, supplier_labels=MostTrusted(by_task, job.definitions, {}))


def job_for(made: Made, *suppliers: tuple[float, Given], known: bool = False) -> ScoringJob:
    return with_labels(job_of(made, build(0, Options(known=known))), *suppliers)


def labels_of(made: Made, shift: int = 0) -> Given:
    """Files of labels for all images but the last; those of another image of the same size."""
    names = made.names[:4]
    others = [*names[shift:], *names[:shift]]
    pairs = zip(names, others, strict=True)
    return {
        (name, row.name): made.label(other, row.name)
        for name, other in pairs
        for row in made.rows
        if made.label(other, row.name).exists()
    }


def test_it_is_the_loss_of_the_prediction_on_the_supplied_label(made: Made) -> None:
    given = labels_of(made, shift=2)
    job = job_for(made, (0.5, given))
    values = scored(job, made.names)
    for row, name in enumerate(made.names):
        (batch,) = pool_batches(replace(job, batch=1), [name])
        for column, (of, task) in enumerate(job.tasks.items()):
            if (name, of) not in given:
                assert np.isnan(values[row, column])
                continue
            label = job.definitions[of].read(given[name, of])
            target = target_of(on_input(label, batch.batch.frames[0], job.definitions[of]))
            raw = torch.nn.functional.interpolate(
                batch.output.final[of], target.value.shape[-2:], mode="bilinear"
            )
            assert values[row, column] == pytest.approx(task.loss(raw, target).item(), rel=1e-4)
    assert np.isnan(values).sum() == len(job.tasks) + 1


def test_the_label_of_the_most_trusted_supplier_counts(made: Made) -> None:
    one, other = labels_of(made), labels_of(made, shift=2)
    expected = scored(job_for(made, (0.9, other)), made.names)
    both = scored(job_for(made, (0.1, one), (0.9, other)), made.names)
    rest = scored(job_for(made, (0.1, one)), made.names)
    # The less trusted one fills what the other lacks.
    np.testing.assert_array_equal(both, np.where(np.isnan(expected), rest, expected))
    assert not np.array_equal(expected, rest, equal_nan=True)


def test_a_cell_with_a_true_label_has_no_value(made: Made) -> None:
    job = job_for(made, (0.5, labels_of(made)))
    assert job.supplier_labels
    known = {made.names[1]: {"depth"}}
    job = replace(job, supplier_labels=replace(job.supplier_labels, labelled=known))
    values = scored(job, made.names)
    column = list(job.tasks).index("depth")
    assert np.isnan(values[1, column]) and np.isfinite(values[1]).sum() == len(job.tasks) - 1


def test_a_network_that_predicts_no_numbers_is_no_gap(made: Made) -> None:
    job = job_for(made, (0.5, labels_of(made)))
    with torch.no_grad():
        for parameter in job.model.network.parameters():
            parameter.fill_(np.nan)
    values = scored(job, made.names)
    assert np.isinf(values[:4]).any() and np.isnan(values[4]).all()


def test_without_labels_of_suppliers_nothing_is_known(made: Made) -> None:
    values = scored(job_of(made, build(0, Options())), made.names)
    assert np.isnan(values).all()
