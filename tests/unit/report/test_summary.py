"""Laws of the three sentences at the top: how good, what it cost, what next, in few words."""

from dataclasses import replace

import pytest

from labelgrid.report.page_blocks import Text
from labelgrid.report.summary import summary
from tests.unit.report.reading import TWO, a_report, counted


def sentences(**changes: object) -> list[str]:
    blocks = summary(a_report(**changes))
    texts = [block for block in blocks if isinstance(block, Text)]
    assert len(texts) == len(blocks) == 3
    return [f"{block.text} {block.command}".strip() for block in texts]


def test_metrics_costs_and_the_next_command_are_said() -> None:
    good, cost, then = sentences(measured=TWO)
    assert (
        good
        == "After round 1, on 4 held-out images: cannot tell: semseg mIoU 33.8 %, depth RMSE 0.875 m."
    )
    assert cost == "Spent: 66 for 12 labels and 47.25 for 12 held-out labels; 8 requested."
    assert then == "Next: labelgrid fit flat"


def test_one_round_has_no_verdict_and_no_round_says_so() -> None:
    good, *_ = sentences(measured=TWO[:1])
    assert good == "Before round 1, on 4 held-out images: semseg mIoU 21.2 %, depth RMSE 1.12 m."
    good, *_ = sentences()
    assert good == "No network is measured yet; 12 training labels so far."


@pytest.mark.parametrize(("number", "told"), [(2, True), (1, False)])
def test_changed_settings_of_the_newest_round_are_told(number: int, told: bool) -> None:
    good, *_ = sentences(measured=TWO, changed={number: ["seed 0 → 1"]})
    assert good.endswith(" 1 setting changed, too.") == told


def test_labels_of_dropped_tasks_were_paid_for_and_nothing_requested_is_not_told() -> None:
    part = a_report().parts[0]
    cells = replace(counted(), requested=0)
    _, cost, _ = sentences(parts=[replace(part, tasks=[cells], dropped=5.0)], heldout=None)
    assert cost == "Spent: 11 for 6 labels."
