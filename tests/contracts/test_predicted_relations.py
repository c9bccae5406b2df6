"""The laws of relations on predictions, each with a wrong relation that breaks it."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from labelgrid.formats.codec import LabelArray
from labelgrid.pixel.target import Target
from labelgrid.relations.relation import Relation
from tests.contracts import wrong_relations
from tests.contracts.format_laws import expect
from tests.contracts.test_relations import RELATIONS, Bound, camera_of, truth
from tests.contracts.wrong_relations import BREAKS_PREDICTED

COVERS = ["labelgrid.relations.relation"]
#: How far a number that follows from predictions may be from the one of the label.
CLOSE = 1e-4


def predicts(name: str) -> bool:
    return Bound(name).relation.on_predictions is not None


def derive(name: str, predictions: Sequence[Tensor]) -> Target:
    """What follows from predictions, with the camera of the made labels if it is needed."""
    bound = Bound(name)
    on_predictions = bound.relation.on_predictions
    assert on_predictions is not None
    camera = None
    if bound.relation.needs_camera:
        one = camera_of([truth(bound.relation.reads[0])])
        camera = torch.tensor([[one.fx, one.fy, one.cx, one.cy]]).repeat(len(predictions[0]), 1)
    return on_predictions(bound.reads, bound.gives)(predictions, camera)


def labels_of(name: str) -> list[LabelArray]:
    return [truth(kind) for kind in Bound(name).relation.reads]


def certain(name: str) -> list[Tensor]:
    """The predictions that are the made labels, of a batch of one."""
    predictions = []
    for task, label in zip(Bound(name).reads, labels_of(name), strict=True):
        value = torch.from_numpy(label.value.copy())[None].movedim(3, 1)
        predictions.append(task.build().as_prediction(value))
    return predictions


def unsure(name: str, count: int = 2) -> list[Tensor]:
    """Predictions of a batch that are near the made labels, but say nothing for certain."""
    generator = torch.Generator().manual_seed(1)
    predictions = []
    for prediction in certain(name):
        many = prediction.repeat(count, 1, 1, 1)
        noise = torch.rand(many.shape, generator=generator)
        predictions.append(0.8 * many + 0.2 * noise / many.shape[1])
    return predictions


def certain_predictions_give_what_the_labels_give(name: str) -> None:
    bound = Bound(name)
    labels = labels_of(name)
    wanted = bound.derive(labels, camera_of(labels))
    found = derive(name, certain(name))
    value = found.value[0].movedim(0, 2).numpy()
    expect(
        value.shape == wanted.value.shape and found.valid.shape == (1, 1, *wanted.size),
        f"What `on_predictions` of {name} derives must have the shape of the label; it has "
        f"{tuple(found.value.shape)} and a mask of {tuple(found.valid.shape)}.",
    )
    valid = found.valid[0, 0].numpy()
    expect(
        bool(valid[wanted.valid].all()),
        f"What `on_predictions` of {name} derives must be valid wherever the label is.",
    )
    same = np.allclose(value[wanted.valid], wanted.value[wanted.valid], atol=CLOSE)
    expect(same, f"`on_predictions` of {name} must derive of certain predictions the label.")


def gradients_reach_what_it_reads(name: str) -> None:
    predictions = [prediction.requires_grad_() for prediction in unsure(name)]
    found = derive(name, predictions)
    weights = torch.rand(found.value.shape, generator=torch.Generator().manual_seed(2))
    total = (found.value * weights * found.valid).sum()
    gradients: Sequence[Tensor | None] = [None] * len(predictions)
    if total.requires_grad:
        gradients = torch.autograd.grad(total, predictions, allow_unused=True)
    for gradient in gradients:
        expect(
            gradient is not None and bool(gradient.any()),
            f"What `on_predictions` of {name} derives must have gradients to all that it reads.",
        )


def an_image_does_not_depend_on_others_of_the_batch(name: str) -> None:
    predictions = unsure(name)
    others = [prediction.clone() for prediction in predictions]
    for prediction in others:
        prediction[0] = prediction[0].flip(-1)
    first = derive(name, predictions)
    second = derive(name, others)
    same = torch.equal(first.value[1], second.value[1])
    expect(
        same and torch.equal(first.valid[1], second.valid[1]),
        f"What `on_predictions` of {name} derives of an image must not depend on other images.",
    )


def what_is_not_finite_is_not_valid_and_spoils_no_gradient(name: str) -> None:
    predictions = unsure(name)
    for prediction in predictions:
        prediction[0, :, 3, 4] = torch.nan
        prediction.requires_grad_()
    found = derive(name, predictions)
    expect(
        not found.valid[0, 0, 3, 4]
        and bool(found.value[found.valid.expand_as(found.value)].isfinite().all()),
        f"What `on_predictions` of {name} derives must not be valid where a prediction is NaN.",
    )
    torch.where(found.valid, found.value, 0).sum().backward()
    for prediction in predictions:
        expect(
            prediction.grad is None or bool(prediction.grad.isfinite().all()),
            f"`on_predictions` of {name} must keep gradients finite where a prediction is NaN.",
        )


LAWS: tuple[Callable[[str], None], ...] = (
    certain_predictions_give_what_the_labels_give,
    gradients_reach_what_it_reads,
    an_image_does_not_depend_on_others_of_the_batch,
    what_is_not_finite_is_not_valid_and_spoils_no_gradient,
)
LAW_OF_NAME = {law.__name__: law for law in LAWS}
PREDICTED = [name for name in RELATIONS if predicts(name)]


def test_the_relations_that_can_be_differentiated_are_known() -> None:
    assert {"classes_saliency", "depth_normals", "semseg_edges"} <= set(PREDICTED)


@pytest.mark.parametrize("name", PREDICTED)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_relation_on_predictions_keeps(law: Callable[[str], None], name: str) -> None:
    law(name)


def test_every_law_has_a_relation_that_breaks_it() -> None:
    assert {law for law, _, _ in BREAKS_PREDICTED} == set(LAW_OF_NAME)


@pytest.mark.parametrize(
    ("law", "wrong", "words"),
    BREAKS_PREDICTED,
    ids=[f"{wrong.__name__}-{law}" for law, wrong, _ in BREAKS_PREDICTED],
)
def test_a_wrong_relation_is_told_what_the_law_expects(
    law: str, wrong: Callable[[object], Relation], words: str
) -> None:
    with pytest.raises(AssertionError, match=words):
        LAW_OF_NAME[law](f"{wrong_relations.__name__}:{wrong.__name__}")
