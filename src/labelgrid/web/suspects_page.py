"""Collects the labels that an audit doubts, and any refused import."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from labelgrid.api.reader import ProjectReader
from labelgrid.audit.audit import AuditedLabel
from labelgrid.audit.suspects import suspects
from labelgrid.web.import_pictures import refused_picture
from labelgrid.web.pages import page_count
from labelgrid.web.scale_legend import ScaleLegend, shared_legends

#: The labels of a page.
COUNT = 24


@dataclass(frozen=True, kw_only=True)
class SuspectsView:
    """The page of suspects.

    Args:
        labels: those of the page, the most doubtful first; None before the first audit.
        sizes: the height and width of their images.
        legends: what the colours of their tasks mean.
        total: the number of all.
        page: the number of the page.
        pages: the number of pages.
        seen: the number of the newest event: who changes a cell says what he saw.
        drawable: the tasks whose labels a brush can correct.
        has_refused_import: whether there is a picture of an import that was refused.
    """

    labels: list[AuditedLabel] | None
    sizes: Mapping[str, tuple[int, int]]
    legends: Mapping[str, ScaleLegend]
    total: int
    page: int
    pages: int
    seen: int
    drawable: Collection[str]
    has_refused_import: bool


def suspects_view(project: ProjectReader, page: int) -> SuspectsView:
    """A page of suspects; a number beyond the last page is the last one.

    Raises:
        ProjectError: the table of the audit is damaged.
    """
    seen = project.disk.store.last_event()
    labels = suspects(project.disk)
    total = len(labels or [])
    pages = page_count(total, COUNT)
    page = min(page, pages)
    shown = (labels or [])[(page - 1) * COUNT : page * COUNT]
    tasks = {label.task for label in shown}
    return SuspectsView(
        labels=None if labels is None else shown,
        sizes={label.image: project.image_size(label.image) for label in shown},
        legends=shared_legends(project.tasks, tasks),
        total=total,
        page=page,
        pages=pages,
        seen=seen,
        drawable=[name for name, task in project.tasks.items() if task.region_names],
        has_refused_import=refused_picture(project) is not None,
    )
