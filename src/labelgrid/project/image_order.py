"""Orders images by their last change or by what the newest scores say. Loads no torch."""

from pathlib import Path

from labelgrid.errors import UsageError
from labelgrid.ledger.image_pages import ImageFilter
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.score_files import newest_scores

#: The order in which the last changed images are first.
CHANGED = "changed"


def image_orders(project: ProjectFolder) -> list[str]:
    """The names of the orders, besides that of the ids."""
    from labelgrid.score.table import statistic_names  # slow to load

    path = newest_scores(project)
    return [CHANGED, *(statistic_names(path) if path else ())]


def ordered_names(project: ProjectFolder, wanted: ImageFilter, order: str) -> list[str]:
    """The ids of the images that match, in an order.

    Args:
        project: the project.
        wanted: which images.
        order: one of `image_orders`. Of a statistic of cells, the value of the wanted task counts,
            or else the largest one. Images without a value are last.

    Raises:
        UsageError: there is no such order.
    """
    if order == CHANGED:
        return project.store.matching_names(wanted, newest=True)
    names = image_orders(project)
    path = newest_scores(project)
    if path is None or order not in names:
        raise UsageError(
            f"There is no order '{order:.80}'.", next_step=f"There are: {', '.join(names)}."
        )
    values = _values(path, order, wanted.task)
    matching = project.store.matching_names(wanted)
    return sorted(matching, key=lambda image_id: -values.get(image_id, float("-inf")))


def _values(path: Path, statistic: str, task: str) -> dict[str, float]:
    """A statistic by image: of a task, or the largest; without those that are no number."""
    import numpy as np

    from labelgrid.score.table import read_statistic

    table = read_statistic(path, statistic)
    values = np.nan_to_num(table.statistics[statistic], nan=-np.inf)
    if table.axes[statistic] == "cell":
        one_task = task in table.tasks
        values = values[:, table.tasks.index(task)] if one_task else values.max(1)
    return dict(zip(table.images, values.tolist(), strict=True))
