"""How much a network's metrics depend on the running statistics of its batch norm.

In training, batch norm normalises with each batch's statistics and keeps a moving mean of them, of
the last batches alone, for evaluation. Here the last network of each run is measured on the test
split with these (`kept`), and again with the means over whole batches of its labelled training
images, without augmentation and dropout (`measured`); the weights are the same. Source: Wu &
Johnson 2021, "Rethinking 'Batch' in BatchNorm" (precise BN).

`largest offset` is how far a channel's mean in a test image lies from the kept mean, at most over
all layers, channels and images, in kept standard deviations; NaN if a mean is NaN. Layers that a
training did not update (`norm = "frozen"`) keep their statistics.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from labelgrid.basics.errors import note_unchanged
from labelgrid.basics.progress import Progress, Silent
from labelgrid.basics.results import LOSS, Result
from labelgrid.basics.streams import image_keys, keyed_uniform, seed_of
from labelgrid.data.loader import eval_batches
from labelgrid.drawings.dots import Dots
from labelgrid.lab.simulation.analysis import Finding, Mean, group_means
from labelgrid.lab.simulation.runs import Run
from labelgrid.lab.simulation.study_recipe import Kind
from labelgrid.lab.simulation.study_results import OVERALL
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import newest_fit
from labelgrid.rounds.context import RoundContext, labelled_images
from labelgrid.rounds.model_record import measure
from labelgrid.rounds.models import restore
from labelgrid.train.batch_norm import NORM, norms_of, refuse_tiny_batches
from labelgrid.train.trained_model import TrainedModel


@dataclass(frozen=True)
class Options:
    """The training images whose statistics are measured.

    Args:
        images: how many, drawn at random.
        batch: how many at a time; as many as in training if None.
    """

    images: Annotated[int, Field(ge=2)] = 1024
    batch: Annotated[int, Field(ge=2, le=4096)] | None = None


@dataclass(frozen=True)
class BatchNorm:
    """See the module."""

    options: Options
    kinds: ClassVar[frozenset[Kind]] = frozenset({"strategy", "full", "single"})
    within: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[str] = "a network with batch norm"

    def findings(self, runs: Sequence[tuple[Run, Path]], progress: Progress) -> Iterator[Finding]:
        """As `Analysis.findings`; none for a network that keeps no statistics."""
        progress.start("Measuring", len(runs), "networks")
        for run, folder in runs:
            fit = newest_fit(folder)
            if fit:
                with ProjectFolder.open(folder) as project:
                    context, model = restore(project, fit)
                    yield from self._measure_run(run, project, context, model)
            progress.advance(note=run.key)

    def _measure_run(
        self, run: Run, project: ProjectFolder, context: RoundContext, model: TrainedModel
    ) -> Iterator[Finding]:
        recipe = context.recipe
        frozen = None
        if recipe.train.norm == "frozen":
            frozen = model.network.encoder
        norms = norms_of(model.network, frozen)
        if not norms:
            return
        with largest_offset(norms) as offset:
            yield from _metrics(run, "kept", project=project, context=context, model=model)
        result = Result("largest offset", float(offset), "sd", "lower")
        yield Finding(run=run, keys={"statistics": "kept", "task": OVERALL}, result=result, count=1)
        batch = self.options.batch or recipe.train.batch
        images = self._images(run, project, batch)
        with recompute_statistics(model.network, norms), torch.inference_mode():
            for each in eval_batches(context.source, {}, images, recipe.data, batch=batch):
                with note_unchanged("The run is unchanged."), refuse_tiny_batches(each.ids):
                    model.network(each.images)
        yield from _metrics(run, "measured", project=project, context=context, model=model)

    def _images(self, run: Run, project: ProjectFolder, batch: int) -> list[str]:
        """Labelled training images in random order.

        As many as fill whole batches, if they fill one.
        """
        images = labelled_images(project, "train")
        draws = keyed_uniform(image_keys(images), seed_of(run.seed, "analysis"))
        count = min(len(images), self.options.images)
        if count >= batch:
            count = count // batch * batch
        return [images[index] for index in np.argsort(draws)[:count]]

    def drawings(self, means: Sequence[Mean]) -> Sequence[Dots]:
        """As `Analysis.drawings`: one drawing for each task, one row for each arm."""
        return [_dots(group) for group in group_means(means, "task").values()]


def _metrics(
    run: Run, statistics: str, project: ProjectFolder, context: RoundContext, model: TrainedModel
) -> Iterator[Finding]:
    """The metrics on the test split, none if it has no label.

    No loss for a single task, which does not compare.
    """
    evaluation = measure(context, model=model, split="heldout", progress=Silent())
    if evaluation is None:
        return
    for name, group in evaluation.metrics.items():
        headline = context.definitions[name].headline
        for result in group.values():
            keys = {"statistics": statistics, "task": name}
            yield Finding(
                run=run,
                keys=keys,
                result=result,
                count=evaluation.labels[name],
                headline=result.name == headline,
            )
    if run.kind == "single":
        return
    keys = {"statistics": statistics, "task": OVERALL}
    yield Finding(
        run=run,
        keys=keys,
        result=Result(LOSS, evaluation.loss_mtl.value, "", "lower"),
        count=sum(evaluation.labels.values()),
    )


@contextmanager
def largest_offset(norms: Sequence[NORM]) -> Iterator[Tensor]:
    """While it is open, the largest distance of an image's mean in a channel from the kept mean.

    It is in kept standard deviations.

    Example:
        >>> norm = nn.BatchNorm2d(1).eval()
        >>> with largest_offset([norm]) as offset:
        ...     output = norm(torch.tensor([1.0, -3.0]).view(2, 1, 1, 1))
        >>> round(float(offset), 3)
        3.0
    """
    largest = torch.zeros(())

    def look(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, NORM)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        means = inputs[0]
        if means.ndim > 2:
            means = means.flatten(2).mean(2)
        offset = (means - norm.running_mean).abs() / (norm.running_var + norm.eps).sqrt()
        largest.copy_(torch.maximum(largest, offset.max()))

    with ExitStack() as stack:
        for norm in norms:
            stack.callback(norm.register_forward_pre_hook(look).remove)
        yield largest


@contextmanager
def recompute_statistics(network: nn.Module, norms: Sequence[NORM]) -> Iterator[None]:
    """While it is open, the network evaluates, but batch norm takes the means over batches.

    It forgets its earlier statistics.

    Example:
        >>> norm = nn.BatchNorm2d(1)
        >>> with recompute_statistics(norm, [norm]):
        ...     outputs = [norm(torch.full((2, 1, 2, 2), value)) for value in (1.0, 3.0)]
        >>> norm.running_mean
        tensor([2.])
    """
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.eval()


def _dots(means: Sequence[Mean]) -> Dots:
    first = means[0]
    marks = dict[str, dict[str, tuple[float, float]]]()
    for mean in means:
        series = marks.setdefault(str(mean.keys["statistics"]), {})
        series[mean.arm] = (mean.result.value, mean.deviation)
    title = first.titled(f"{first.keys['task']} {first.result.name}")
    return Dots(f"batch_norm-{title.replace(' ', '-')}", first.axis_label, marks, title)


def build(options: Options) -> BatchNorm:
    """Build the analysis."""
    return BatchNorm(options)
