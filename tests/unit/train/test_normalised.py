"""One image that is too small for batch norm ends a training with a clear error, also in a view of a term."""

from dataclasses import replace

import pytest

from labelgrid.errors import TrainingError
from labelgrid.progress import Silent
from labelgrid.train.normalised import refuse_tiny_batches
from labelgrid.train.options import TrainOptions
from labelgrid.train.terms import crop
from labelgrid.train.trainer import Trainer
from tests.support import make_dataset
from tests.toys import toy_plan


def test_a_view_of_one_tiny_image_is_refused(tmp_path):
    made = make_dataset(tmp_path, n=1, size=(32, 64), tasks=("depth",))
    plan = toy_plan(made, TrainOptions(epochs=1, batch=1, known=0.0), net="shared_heads")
    plan = replace(
        plan, terms={"crop": crop.build(plan.tasks, plan.network, crop.Options(zoom=16.0))}
    )
    with pytest.raises(TrainingError, match="too small for batch normalisation") as refusal:
        Trainer(plan).run_epoch(Silent())
    assert made.names[0] in refusal.value.where and "crop" in refusal.value.next_step


def test_other_errors_pass():
    with pytest.raises(ValueError, match="another"), refuse_tiny_batches(["a.png"]):
        raise ValueError("another")
    with (
        pytest.raises(TrainingError, match=r"a\.png, b\.png"),
        refuse_tiny_batches(["a.png", "b.png"]),
    ):
        raise ValueError("Expected more than 1 value per channel when training")
