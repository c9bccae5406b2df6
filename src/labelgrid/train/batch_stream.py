"""Reads the batches of a training, ahead over the ends of its epochs."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from labelgrid.data.batch import Batch, SoftLabels
from labelgrid.data.loader import train_batches
from labelgrid.data.view_memory import ViewMemory
from labelgrid.nets.kept_maps import kept_of
from labelgrid.train.group import TrainingGroup
from labelgrid.train.plan import Plan

#: A batch of this process, and the image ids of the whole batch.
Share = tuple[Batch, tuple[str, ...]]
#: Splits the images of a pass, in their order, into batches.
Split = Callable[[Sequence[str]], list[list[str]]]
#: Short epochs are read together, until they have so many steps: their workers are started once,
#: and read on while an epoch ends.
STEPS = 64


class BatchStream:
    """The batches of epochs in order; how far batches are read ahead changes nothing.

    Args:
        group: the processes that train together; each reads its share of a batch.
        soft: the readers of soft labels, by term.
    """

    def __init__(self, group: TrainingGroup, soft: Mapping[str, SoftLabels]) -> None:
        self.group = group
        self.soft = soft
        self._memory = ViewMemory()
        self._ahead: Iterator[Share] = iter(())
        self._epochs = 0

    def epoch(self, plan: Plan, number: int, steps: int) -> Iterator[Share]:
        """Yield the first `steps` batches of an epoch; epochs come in their order."""
        if not self._epochs:
            together = math.ceil(STEPS / plan.steps_per_epoch)
            self._epochs = max(min(together, plan.epochs - number), 1)
            self._ahead = self._read(plan, number)
        self._epochs -= 1
        yield from itertools.islice(self._ahead, steps)
        if not self._epochs:
            self._ahead = iter(())  # ends the workers

    def _read(self, plan: Plan, first: int) -> Iterator[Share]:
        """Read this process's share of each batch, with the ids of the whole batch.

        Batches that are mixed are read whole.
        """
        whole: list[tuple[str, ...]] = []
        divide = self.group.share if plan.options.mix == "none" else list[str]

        def split(ordered: Sequence[str]) -> list[list[str]]:
            parts = plan.batches(ordered)
            whole.extend(map(tuple, parts))
            return [divide(part) for part in parts]

        batches = read_epochs(
            plan, first, self._epochs, soft=self.soft, split=split, memory=self._memory
        )
        return zip(batches, whole, strict=True)


def read_epochs(
    plan: Plan,
    first: int,
    count: int = 1,
    *,
    soft: Mapping[str, SoftLabels],
    split: Split | None = None,
    memory: ViewMemory | None = None,
) -> Iterator[Batch]:
    """Read the batches of some epochs: whole ones, or as `split` divides a pass."""
    options = plan.options
    return train_batches(
        plan.source,
        plan.definitions,
        plan.train,
        plan.data,
        batch=options.batch,
        split=split or plan.batches,
        workers=options.workers,
        seed=plan.seed,
        epoch=first,
        epochs=count,
        passes=plan.passes,
        soft=soft,
        kept=kept_of(plan.network.encoder),
        memory=memory,
    )
