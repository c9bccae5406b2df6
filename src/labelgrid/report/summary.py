"""Says in three sentences a network's quality, the labels' cost and the next command."""

from collections.abc import Sequence

from labelgrid.basics.words import count_text
from labelgrid.drawings.wording import number
from labelgrid.operations.headlines import brief_text, headlines_of
from labelgrid.report.content import ProjectReport, SplitCells
from labelgrid.report.page_blocks import Blocks, Text


def summary(report: ProjectReport) -> Blocks:
    """The three sentences at the top of a page."""
    return [
        Text(_how_good(report), "verdict"),
        Text(_cost(report)),
        Text("Next:", "plain", report.next_step),
    ]


def after_round(training: int) -> str:
    """The round after which a network was trained, in words.

    A training belongs to the round that is open then, and learns from those before it.

    Example:
        >>> after_round(4), after_round(1)
        ('After round 3', 'Before round 1')
    """
    if training > 1:
        return f"After round {training - 1}"
    return f"Before round {training}"


def _how_good(report: ProjectReport) -> str:
    headlines = headlines_of(report.measured, report.headlines)
    if not headlines:
        labels = sum(task.labelled for part in report.parts for task in part.tasks)
        return f"No network is measured yet; {count_text(labels, 'training label')} so far."
    newest = report.measured[-1].round
    images = count_text(max(headline.images for headline in headlines), "held-out image")
    text = f"{after_round(newest)}, on {images}: {brief_text(headlines)}."
    changed = len(report.changed.get(newest, ()))
    if changed:
        text += f" {count_text(changed, 'setting')} changed, too."
    return text


def _cost(report: ProjectReport) -> str:
    parts = [_labels_cost(report.parts, "labels")]
    if report.heldout:
        parts.append(_labels_cost([report.heldout], "held-out labels"))
    text = " and ".join(parts)
    everywhere = [*report.parts, *filter(None, [report.heldout])]
    open_requests = sum(task.requested for part in everywhere for task in part.tasks)
    waiting = f"; {number(open_requests)} requested" if open_requests else ""
    return f"Spent: {text}{waiting}."


def _labels_cost(parts: Sequence[SplitCells], name: str) -> str:
    """A text such as "900 for 120 labels"; labels of dropped tasks were paid for, too."""
    tasks = [task for part in parts for task in part.tasks]
    spent = sum(task.spent for task in tasks) + sum(part.dropped for part in parts)
    return f"{number(spent)} for {number(sum(task.labelled for task in tasks))} {name}"
