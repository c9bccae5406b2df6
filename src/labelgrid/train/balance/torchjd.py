"""TorchJD: combines tasks' gradients by an aggregator of torchjd: UPGrad, PCGrad, AlignedMTL, ...

It needs TorchJD: `pip install "torchjd[quadprog-projector]"`. Some aggregators, such as CAGrad,
need further packages: `pip install "torchjd[full]"`. The objective's weights multiply the
losses first, and the tasks' own parameters get the gradients of these losses.

Source: Quinton & Rey 2024 (Jacobian descent; UPGrad).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from labelgrid.basics.errors import PluginError, RecipeError, TrainingError
from labelgrid.basics.type_names import Values
from labelgrid.basics.words import count_text
from labelgrid.train.balancer import Balancer, Reduce, TaskLosses, Weights
from labelgrid.train.shared_gradients import GradientPoint, SharedGradients

#: Maps gradients [t, n] to one [n].
Aggregator = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Options:
    """The aggregator.

    Args:
        aggregator: a class of `torchjd.aggregation`. Those with a state, such as `"NashMTL"`, are
            refused, since a batch may lack tasks. `"Krum"` and `"TrimmedMean"` refuse batches with
            labels of several but too few tasks. The gradient of a single task is taken as it is.
        arguments: the arguments of this class, such as `{ trim_number = 1 }` for `"TrimmedMean"`.
        at: where the gradients are taken: at the shared `"features"`, with one pass through the
            encoder, or at the shared `"parameters"`, with a pass for each task.
    """

    aggregator: str = "UPGrad"
    arguments: dict[str, int | float | str | bool] | None = None
    at: Literal["features", "parameters"] = "features"


class AggregatedGradients(Balancer):
    """Gives the shared part the aggregated gradient of the labelled tasks."""

    def __init__(
        self, weights: Weights, reduce: Reduce, aggregator: Aggregator, at: GradientPoint
    ) -> None:
        super().__init__()
        self.fixed = weights
        self.reduce = reduce
        self.aggregator = aggregator
        self.at = at

    def backward(self, step: TaskLosses) -> Tensor:
        """Back-propagate the losses, as `Balancer.backward` says.

        Raises:
            TrainingError: the network's tasks read more of the encoder than the features at which
                gradients are taken, or the batch has labels of fewer tasks than the aggregator
                needs.
        """
        if not step.labelled:
            return step.without_labels(self.reduce)
        losses = step.parts(self.reduce, self.fixed)
        gradients = SharedGradients(step, losses, self.at)
        gradients.refuse_bypass()
        # Some aggregators draw: all processes take what the first one has drawn.
        combined = step.group.from_first(self._aggregate(gradients.rows))
        gradients.backward(combined, [1.0] * len(losses))
        return (torch.stack(list(losses.values())).sum() + step.other).detach()

    def _aggregate(self, rows: Tensor) -> Tensor:
        if not bool(torch.isfinite(rows).all()):
            # Half precision has overflowed, and the loss scaler will skip this step.
            return rows.mean(0)
        if len(rows) == 1:
            return rows[0]
        try:
            return self.aggregator(rows)
        except ValueError as error:
            raise TrainingError(
                _too_few_tasks(self.aggregator, len(rows), error),
                next_step="Choose an aggregator of any number of tasks, such as UPGrad, "
                "or larger batches.",
            ) from error


def _too_few_tasks(aggregator: Aggregator, count: int, error: ValueError) -> str:
    name = type(aggregator).__name__
    tasks = count_text(count, "task")
    return f"The aggregator '{name}' cannot aggregate the gradients of {tasks}: {error}"


def aggregator_of(name: str, arguments: Values, tasks: int) -> Aggregator:
    """Build an aggregator of TorchJD, for at most this number of tasks.

    Raises:
        PluginError: TorchJD or a package that the aggregator needs is not installed.
        RecipeError: there is no such aggregator, or the aggregator takes other arguments, has a
            state, or needs more tasks.
    """
    try:
        from torchjd import aggregation

        kinds = {name: getattr(aggregation, name) for name in aggregation.__all__}
        names = [n for n, kind in kinds.items() if issubclass(kind, aggregation.Aggregator)]
        if name not in names:
            raise RecipeError(
                f"balance.options.aggregator is '{name}', which TorchJD does not have.",
                next_step=f"It has: {', '.join(names)}.",
            )
        chosen = kinds[name]
        if hasattr(chosen, "reset"):
            raise RecipeError(
                f"The aggregator '{name}' has a state for a fixed number of tasks, "
                "and a batch may lack some tasks.",
                next_step="Choose one without a state, such as UPGrad.",
            )
        aggregator: Aggregator = chosen(**arguments)
    except ImportError as error:
        raise PluginError(
            f"The aggregator '{name}' needs a package that is not installed: {error}.",
            next_step="Install it: pip install 'labelgrid[balance]', or 'torchjd[full]' for every "
            "aggregator.",
        ) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise RecipeError(
            f"balance.options.arguments is wrong for '{name}': {error}.",
            next_step="TorchJD's documentation lists the arguments of its aggregators.",
        ) from error
    if tasks == 1:
        return aggregator
    try:
        aggregator(torch.eye(tasks))
    except ValueError as error:
        raise RecipeError(
            _too_few_tasks(aggregator, tasks, error),
            next_step="Choose an aggregator of any number of tasks, such as UPGrad.",
            unchanged="Nothing was trained.",
        ) from error
    return aggregator


def build(weights: Weights, reduce: Reduce, options: Options) -> AggregatedGradients:
    """Build the balancer."""
    aggregator = aggregator_of(options.aggregator, options.arguments or {}, len(weights))
    return AggregatedGradients(weights, reduce, aggregator, options.at)
