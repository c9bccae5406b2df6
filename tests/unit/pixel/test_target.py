import torch

from labelgrid.pixel.target import Target, mean_per_image

NAN = float("nan")
TARGET = Target(
    torch.tensor([[[[1.0, NAN]]], [[[NAN, NAN]]]]),
    torch.tensor([[[[True, False]]], [[[False, False]]]]),
)


def test_an_image_is_present_where_a_pixel_is_valid() -> None:
    assert TARGET.present.tolist() == [True, False]


def test_safe_values_keep_the_valid_and_fill_the_rest() -> None:
    assert TARGET.safe().flatten().tolist() == [1, 0, 0, 0]
    assert TARGET.safe(7).flatten().tolist() == [1, 7, 7, 7]


def test_safe_values_of_classes_stay_whole_numbers() -> None:
    classes = Target(torch.tensor([[[[3, 255]]]]), torch.tensor([[[[True, False]]]]))
    assert classes.safe().dtype == torch.int64
    assert classes.safe().flatten().tolist() == [3, 0]


def test_images_that_are_not_kept_are_valid_nowhere() -> None:
    assert TARGET.where(torch.tensor([False, True])).valid.any().item() is False
    assert torch.equal(TARGET.where(torch.tensor([True, False])).valid, TARGET.valid)


def test_batches_follow_one_another() -> None:
    both = Target.cat([TARGET, TARGET])
    assert both.present.tolist() == [True, False, True, False]
    assert both.to("cpu").value.shape == (4, 1, 1, 2)


def test_some_images_of_a_batch_keep_their_values_and_masks() -> None:
    for rows in (slice(0, 1), torch.tensor([True, False])):
        some = TARGET[rows]
        assert torch.equal(some.valid, TARGET.valid[:1]) and some.annotated is None
        assert some.safe().flatten().tolist() == [1, 0]


def test_an_images_mean_is_over_its_valid_pixels_and_zero_without_any() -> None:
    values = torch.tensor([[[[1.0, NAN]]], [[[NAN, NAN]]], [[[2.0, 4.0]]]])
    valid = torch.cat([TARGET.valid, torch.ones(1, 1, 1, 2, dtype=torch.bool)])
    assert mean_per_image(values, valid).tolist() == [1, 0, 3]


def classes(*annotated: bool) -> Target:
    value = torch.tensor([0, 1, 2]).view(1, 1, 1, 3)
    return Target(value, torch.ones(1, 1, 1, 3, dtype=torch.bool), torch.tensor([annotated]))


def test_the_classes_that_were_annotated_travel_with_the_labels() -> None:
    some, whole = classes(True, False, True), Target(*vars(classes(True, True, True)).values())
    free = Target(some.value, some.valid)
    for moved in (some.to("cpu"), some.where(torch.tensor([False])), some[:1], Target.cat([some])):
        assert moved.annotated is not None and moved.annotated.tolist() == [[True, False, True]]
    both = Target.cat([free, some, whole])
    assert both.annotated is not None
    assert both.annotated.tolist() == [[True] * 3, [True, False, True], [True] * 3]
    assert both[1:2].annotated.tolist() == [[True, False, True]]  # type: ignore[union-attr]
    assert Target.cat([free, free]).annotated is None


def test_all_of_a_target_moves_to_another_device() -> None:
    moved = classes(True, False, True).to("meta")
    assert moved.annotated is not None
    assert {part.device.type for part in (moved.value, moved.valid, moved.annotated)} == {"meta"}


def test_a_class_that_was_not_annotated_is_neither_told_nor_asked_for() -> None:
    told, judged = classes(True, False, True).restrict_to_annotated(torch.ones(1, 3, 1, 3), -1.0)
    assert told[0, :, 0, 0].tolist() == [1, -1, 1]
    assert judged.valid.flatten().tolist() == [True, False, True]
