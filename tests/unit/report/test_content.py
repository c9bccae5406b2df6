from labelgrid.report.content import Training


def test_a_training_s_epochs_are_those_of_all_its_losses_in_order() -> None:
    assert Training(1, {"depth": {2: 0.5, 3: 0.5}, "semseg": {1: 0.5, 2: 0.5}}).epochs == [1, 2, 3]
    assert Training(1, {}).epochs == []
