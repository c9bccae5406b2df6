"""Defines the laws of statistics, functions that raise AssertionError for a breach."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from labelgrid.basics import plugins
from labelgrid.basics.files import digest
from labelgrid.basics.progress import Silent
from labelgrid.data.supplied_source import MostTrusted, SuppliedFile, SuppliedLabels
from labelgrid.pixel.target import Target
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import build_plugin
from labelgrid.score.fit_statistics import FitImages, fit_statistics
from labelgrid.score.pool import ScoringJob, pool_batches
from labelgrid.score.statistic import PoolBatch, Statistic
from labelgrid.tasks.task import build_all, definitions
from labelgrid.testing.laws import Subject, expect
from labelgrid.testing.scenes import Made, make_dataset
from labelgrid.testing.toys import DATA, source_of, toy_network
from labelgrid.train.train_options import ObjectiveOptions
from labelgrid.train.trained_model import TrainedModel

KINDS = ("semseg", "depth")


@dataclass(frozen=True)
class StatisticCase:
    """A statistic, trained if it has modules, and a synthetic pool in batches, with images of two sizes."""

    statistic: Statistic
    job: ScoringJob
    names: list[str]

    def batches(self, names: list[str], batch: int) -> list[PoolBatch]:
        return list(pool_batches(replace(self.job, batch=batch), names))

    def rows(self, batches: list[PoolBatch]) -> dict[str, NDArray[Any]]:
        """The values of each image."""
        by_name: dict[str, NDArray[Any]] = {}
        for batch in batches:
            with torch.inference_mode():
                values = np.asarray(self.statistic(batch), np.float64)
            by_name |= dict(zip(batch.batch.ids, values, strict=True))
        return by_name


def dataset(folder: Path) -> Made:
    return make_dataset(folder, n=5, size=[(32, 64), (48, 40)], tasks=KINDS)


def supplier_labels(made: Made) -> dict[str, list[SuppliedLabels]]:
    """A supplier's labels of all images: the true ones."""
    labels = {}
    for row in made.rows:
        paths = {name: made.label(name, row.name) for name in made.names}
        files = {name: SuppliedFile(path, digest(path)) for name, path in paths.items()}
        labels[row.name] = [SuppliedLabels(supplier="s", trust=0.5, files=files)]
    return labels


def case_of(subject: Subject, place: Path) -> StatisticCase:
    """A statistic with short trainings, over made images in a folder."""
    options = plugins.options_class("statistics", subject.name)
    values = dict(subject.says("OPTIONS", {}))
    if any(field.name == "epochs" for field in fields(options)):
        values["epochs"] = 2
    statistic = build_plugin("statistics", PluginChoice(subject.name, values), 0)
    terms: frozenset[str] = getattr(options, "terms", frozenset())
    return trained_case(statistic, dataset(place / "made"), place / "case", terms)


def trained_case(
    statistic: Statistic, made: Made, folder: Path, terms_read: Collection[str] = ()
) -> StatisticCase:
    """A statistic, trained if it has modules, with the terms to read."""
    task_defs = definitions(list(made.rows))
    tasks = build_all(task_defs)
    network = toy_network(tasks)
    terms = {
        term: build_plugin("terms", PluginChoice(term), tasks, network)
        for term in sorted(terms_read)
    }
    model = TrainedModel(
        network=network.eval(), terms={term: made.eval() for term, made in terms.items()}
    )
    job = ScoringJob(
        model=model,
        tasks=tasks,
        definitions=task_defs,
        source=source_of(made),
        data=DATA,
        statistics={"statistic": statistic},
        stamp={"model": "toy"},
        batch=3,
        supplier_labels=MostTrusted(supplier_labels(made), task_defs, {}),
    )
    names = list(made.names)
    images = FitImages(
        labelled=names[:3],
        pool=names,
        seed=0,
        train_member=lambda _: model,
        objective=ObjectiveOptions(),
    )
    return StatisticCase(statistic, fit_statistics(job, images, folder, Silent()), names)


def its_numbers_have_the_shape_of_its_axis(case: StatisticCase) -> None:
    for batch in case.batches(case.names, 3):
        with torch.inference_mode():
            values = np.asarray(case.statistic(batch))
        b = len(batch.batch.ids)
        t = len(batch.tasks)
        axis = case.statistic.axis
        dimensions = {"cell": 2, "image": 1, "feature": 2}[axis]
        fits = values.ndim == dimensions and values.shape[0] == b
        expect(
            fits and (axis != "cell" or values.shape[1] == t),
            f"A statistic whose `axis` is {axis!r} must return of {b} images and {t} tasks values "
            f"[b, t] for 'cell', [b] for 'image' and [b, d] for 'feature'; it returned "
            f"{values.shape}.",
        )
        expect(
            np.isfinite(values).all(),
            "A statistic of images whose tasks have learnt must be finite numbers; "
            f"{int((~np.isfinite(values)).sum())} of {values.size} are not.",
        )


def an_images_numbers_depend_on_the_image_alone(case: StatisticCase) -> None:
    first = case.rows(case.batches(case.names, 3))
    other = case.rows(case.batches(case.names[::-1], 2))
    assert first.keys() == other.keys()
    for name, values in first.items():
        expect(
            np.allclose(other[name], values, rtol=1e-4, atol=1e-4),
            f"The numbers of an image must not depend on the other images of its batch, nor on "
            f"their order; those of {name} are {values.ravel()[:4]} in one batch and "
            f"{other[name].ravel()[:4]} in another.",
        )


def what_lies_behind_invalid_pixels_changes_nothing(case: StatisticCase) -> None:
    for batch in case.batches(case.names, 3):
        assert any(not target.valid.all() for target in batch.batch.targets.values())
        spoilt = {name: _spoilt(target) for name, target in batch.batch.targets.items()}
        other = replace(
            batch,
            batch=replace(batch.batch, targets=spoilt),
            supplier_labels={
                name: replace(supplied, target=_spoilt(supplied.target))
                for name, supplied in batch.supplier_labels.items()
            },
        )
        plain = case.rows([batch])
        changed = case.rows([other])
        for name, values in plain.items():
            expect(
                np.array_equal(changed[name], values, equal_nan=True),
                f"Values of a label where it is not `valid` must change nothing; those of {name} "
                "did: read `target.safe()`, or multiply by `target.valid`.",
            )


def _spoilt(target: Target) -> Target:
    garbage = torch.full_like(
        target.value, float("nan") if target.value.is_floating_point() else 77
    )
    return Target(torch.where(target.valid, target.value, garbage), target.valid)


def the_model_is_left_as_it_was(case: StatisticCase) -> None:
    before = _state(case.job.model)
    case.rows(case.batches(case.names, 3))
    after = _state(case.job.model)
    expect(before.keys() == after.keys(), "A statistic must add no parameters to the model.")
    moved = [name for name, value in before.items() if not torch.equal(after[name], value)]
    expect(
        not moved,
        f"A statistic must leave all weights and buffers of the model as they are; it changed "
        f"{moved[:5]}: run the network in evaluation mode.",
    )
    modules = [case.job.model.network, *case.job.model.terms.values()]
    trains = [part for module in modules for part in module.modules() if part.training]
    expect(not trains, "A statistic must leave the model in evaluation mode; it is training.")


def _state(model: TrainedModel) -> Mapping[str, torch.Tensor]:
    """All parameters and buffers, including buffers that no checkpoint saves."""
    modules: dict[str, nn.Module] = {"network": model.network, **model.terms}
    return {
        f"{part}.{name}": value.detach().clone()
        for part, module in modules.items()
        for name, value in [*module.named_parameters(), *module.named_buffers()]
    }


LAWS: tuple[Callable[[StatisticCase], Any], ...] = (
    its_numbers_have_the_shape_of_its_axis,
    an_images_numbers_depend_on_the_image_alone,
    what_lies_behind_invalid_pixels_changes_nothing,
    the_model_is_left_as_it_was,
)
