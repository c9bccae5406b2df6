"""Orders images by last change, scores, shares of classes, or losses of labels. Loads no torch."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from labelgrid.basics.array_types import Floats
from labelgrid.basics.errors import UsageError
from labelgrid.basics.words import join_names
from labelgrid.ledger.image_pages import ImageFilter, ImagePage
from labelgrid.project.content_rows import WIDTH
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.label_filter import LabelFilter, MatchingImages, find_images
from labelgrid.project.label_losses import has_losses, label_losses
from labelgrid.project.score_files import newest_scores, tables_of_scores, unreadable_scores
from labelgrid.select.class_statistic import CLASSES

#: The order in which the last changed images are first.
CHANGED = "changed"
#: How the order by the losses of a task's labels begins, before the task's name: losses of several
#: tasks do not compare.
LOSS = "loss/"
#: How the order by the predicted share of a class begins, before `TASK:CLASS`.
SHARE = "share/"
#: The content hash of no file.
NO_CONTENT = "0" * 2 * WIDTH


def image_orders(project: ProjectFolder) -> list[str]:
    """The names of the orders, besides that of the ids; without scores where none can be read."""
    losses = [f"{LOSS}{name}" for name in project.tasks() if has_losses(project, name)]
    if unreadable_scores(project):
        return [CHANGED, *losses]
    shares = [f"{SHARE}{name}" for name in share_classes(project)]
    return [CHANGED, *losses, *_statistic_orders(project), *shares]


def _statistic_orders(project: ProjectFolder) -> list[str]:
    path = newest_scores(project)
    if not path:
        return []
    from labelgrid.score.table_files import statistic_names  # needs pyarrow

    return statistic_names(path)


def ordered_images(
    project: ProjectFolder, wanted: ImageFilter, order: str, labels: LabelFilter | None = None
) -> MatchingImages:
    """The images that match, in an order.

    Args:
        project: the project.
        wanted: a filter of images.
        order: one of `image_orders`, or "": by the ids. For a statistic of cells, the value of the
            wanted task counts, or else the largest value. Images without a value are last.
        labels: a filter of their labels; None: any.

    Raises:
        UsageError: there is no such order, or no such class.
        ProjectError: what reads the project's scores is not installed.
        LedgerError: there is no such task.
    """
    labels = labels or LabelFilter()
    if order == CHANGED:
        return _last_changed_first(project, wanted, labels)
    if not order:
        return find_images(project, wanted, labels)
    names = image_orders(project)
    if order not in names:
        unreadable = unreadable_scores(project)
        if unreadable:
            raise unreadable
        raise UsageError(
            f"There is no order '{order:.80}'.", next_step=f"There are: {join_names(names)}."
        )
    if order.startswith(LOSS):
        return _largest_loss_first(project, wanted, labels, order.removeprefix(LOSS))
    path = newest_scores(project)
    if order.startswith(SHARE):
        values = class_shares(project, order.removeprefix(SHARE))
    else:
        values = _scores(path, order, wanted.task) if path else {}
    matches = find_images(project, wanted, labels)
    ranks = np.array([values.get(image_id, -math.inf) for image_id in matches.names])
    return replace(matches, names=_largest_first(matches.names, ranks))


def image_page(
    project: ProjectFolder,
    wanted: ImageFilter,
    *,
    order: str = "",
    labels: LabelFilter | None = None,
    first: int = 0,
    count: int = 60,
) -> ImagePage:
    """The matching images from number `first` on, with their cells' states.

    Only these are read, so a page takes no longer in a large project than in a small one.

    `order` is as of `ordered_images`.

    Raises:
        LedgerError: there is no such task.
        UsageError: there is no such order or class.
    """
    if not order and (labels is None or labels.is_empty):
        return project.store.image_page(wanted, first=first, count=count)
    matches = ordered_images(project, wanted, order, labels)
    listed = project.store.listed_images(matches.names[first : first + count])
    return ImagePage(len(matches.names), listed, matches.unread)


def neighbours(
    project: ProjectFolder,
    wanted: ImageFilter,
    image_id: str,
    *,
    order: str = "",
    labels: LabelFilter | None = None,
) -> tuple[str, str]:
    """The matching images before and after an image, in the order of `image_page`; or "".

    In another order than by ids, an image that does not match has none.
    """
    if not order and (labels is None or labels.is_empty):
        return project.store.neighbours(wanted, image_id)
    names = ordered_images(project, wanted, order, labels).names
    if order and image_id not in names:
        return "", ""
    here = names.index(image_id) if order else bisect_left(names, image_id)
    after = here + (image_id in names[here : here + 1])
    return "".join(names[max(here - 1, 0) : here]), "".join(names[after : after + 1])


def _last_changed_first(
    project: ProjectFolder, wanted: ImageFilter, labels: LabelFilter
) -> MatchingImages:
    newest = project.store.matching_names(wanted, newest=True)
    if labels.is_empty:
        return MatchingImages(newest)
    matches = find_images(project, wanted, labels)
    names = set(matches.names)
    return replace(matches, names=[image_id for image_id in newest if image_id in names])


def _largest_loss_first(
    project: ProjectFolder, wanted: ImageFilter, labels: LabelFilter, task: str
) -> MatchingImages:
    """The matching images by the loss of a task's labels; a changed label has no loss."""
    rows = project.store.matching_names_and_labels(wanted, task)
    matches = MatchingImages([image_id for image_id, _ in rows])
    if not labels.is_empty:
        matches = find_images(project, wanted, labels)
        names = set(matches.names)
        rows = [row for row in rows if row[0] in names]
    losses = label_losses(project, task, [content or NO_CONTENT for _, content in rows])
    return replace(matches, names=_largest_first(matches.names, losses))


def _largest_first(names: Sequence[str], values: Floats) -> list[str]:
    """Names by their values [n], the largest first and names without a number last."""
    places = np.argsort(-np.nan_to_num(values, nan=-math.inf), kind="stable")
    return [names[place] for place in places]


def _scores(path: Path, statistic: str, task: str) -> dict[str, float]:
    """A statistic by image, of a task or the largest of all tasks; -inf where not a number."""
    from labelgrid.score.table_files import read_statistic  # needs pyarrow

    table = read_statistic(path, statistic)
    values = np.nan_to_num(table.statistics[statistic], nan=-np.inf)
    if table.axes[statistic] == "cell":
        values = values[:, table.tasks.index(task)] if task in table.tasks else values.max(1)
    return dict(zip(table.images, values.tolist(), strict=True))


def share_classes(project: ProjectFolder) -> list[str]:
    """The classes whose shares the newest scores hold, as `TASK:CLASS`."""
    if _newest(project) is None:
        return []
    return [f"{task.name}:{name}" for task in project.tasks().values() for name in task.class_names]


def class_shares(project: ProjectFolder, class_name: str) -> dict[str, float]:
    """The predicted share of a class by image, from 0 to 1; empty if no scores hold it.

    `class_name` is one of `share_classes`.
    """
    path = _newest(project)
    name, _, class_name = class_name.partition(":")
    number = project.tasks()[name].class_names.index(class_name)
    if not path:
        return {}
    from labelgrid.score.table_files import read_component  # needs pyarrow

    return read_component(path, CLASSES, name, number)


def _newest(project: ProjectFolder) -> Path | None:
    for path in reversed(tables_of_scores(project)):
        from labelgrid.score.table_files import holds_statistic  # needs pyarrow

        if holds_statistic(path, CLASSES):
            return path
    return None
