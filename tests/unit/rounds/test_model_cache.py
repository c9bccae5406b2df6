"""Laws of the cache of models: it restores a model once for each key in a row, and keeps one only."""

import gc
import weakref

import pytest

from labelgrid.nets.network import Network
from labelgrid.rounds.model_cache import ModelCache
from labelgrid.train.trained_model import TrainedModel


def model() -> TrainedModel:
    return TrainedModel(network=Network(), trained=frozenset())


def test_a_model_is_restored_again_only_for_another_key() -> None:
    cache = ModelCache()
    first = cache.restored("a", model)
    assert cache.restored("a", model) is first
    second = cache.restored("b", model)
    assert second is not first
    assert cache.restored("a", model) is not first


def test_the_cache_forgets_its_model_before_another_is_restored() -> None:
    cache = ModelCache()
    gone = weakref.ref(cache.restored("a", model).network)

    def restore() -> TrainedModel:
        gc.collect()
        assert gone() is None
        raise MemoryError

    with pytest.raises(MemoryError):
        cache.restored("b", restore)
    assert cache.restored("a", model).network is not None
