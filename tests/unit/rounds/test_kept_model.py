"""Laws of the kept model: it is restored once for each key in a row, and only one is kept."""

import gc
import weakref

import pytest

from labelgrid.nets.network import Network
from labelgrid.rounds.kept_model import KeptModel
from labelgrid.train.trained_model import TrainedModel


def model() -> TrainedModel:
    return TrainedModel(network=Network(), trained=frozenset())


def test_a_model_is_restored_again_only_for_another_key() -> None:
    kept = KeptModel()
    first = kept.restored("a", model)
    assert kept.restored("a", model) is first
    second = kept.restored("b", model)
    assert second is not first
    assert kept.restored("a", model) is not first


def test_the_kept_model_is_forgotten_before_another_is_restored() -> None:
    kept = KeptModel()
    gone = weakref.ref(kept.restored("a", model).network)

    def restore() -> TrainedModel:
        gc.collect()
        assert gone() is None
        raise MemoryError

    with pytest.raises(MemoryError):
        kept.restored("b", restore)
    assert kept.restored("a", model).network is not None
