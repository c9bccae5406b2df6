import torch

from labelgrid.pixel.target import Target, per_image

NAN = float("nan")
TARGET = Target(torch.tensor([[[[1.0, NAN]]], [[[NAN, NAN]]]]), torch.tensor([[[[True, False]]], [[[False, False]]]]))


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


def test_an_images_mean_is_over_its_valid_pixels_and_zero_without_any() -> None:
    values = torch.tensor([[[[1.0, NAN]]], [[[NAN, NAN]]], [[[2.0, 4.0]]]])
    valid = torch.cat([TARGET.valid, torch.ones(1, 1, 1, 2, dtype=torch.bool)])
    assert per_image(values, valid).tolist() == [1, 0, 3]
