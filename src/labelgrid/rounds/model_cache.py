"""Keeps the model that a worker restored last, for further shards."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from labelgrid.ledger.grid import TaskRow
from labelgrid.project.records import Fit
from labelgrid.recipes.recipe import Recipe
from labelgrid.recipes.resolve import hash_of
from labelgrid.train.trained_model import TrainedModel


@dataclass
class ModelCache:
    """The model that was restored last, in evaluation mode. Nobody changes it."""

    _key: str = field(init=False, default="")
    _model: TrainedModel | None = field(init=False, default=None)

    def restored(self, key: str, restore: Callable[[], TrainedModel]) -> TrainedModel:
        """Return the model of a key, from the cache or restored in place of the cached model.

        Two models are never in memory.

        Args:
            key: a key of all that the model depends on.
            restore: restores it.
        """
        if self._model is None or key != self._key:
            self._model = None
            self._model = restore()
            self._key = key
        return self._model


def model_key(fit: Fit, recipe: Recipe, tasks: Sequence[TaskRow], *further: Any) -> str:
    """A hash of all that a restored model depends on.

    Args:
        fit: the record of its training, which holds a hash of its weights.
        recipe: the recipe of its training.
        tasks: as the ledger has them.
        further: what else it depends on, as JSON values.
    """
    rows = [asdict(row) for row in tasks]
    return hash_of(asdict(fit), json.loads(recipe.json()), rows, *further)


#: Of this process.
CACHE = ModelCache()
