"""What the first page shows."""

from labelgrid.api.reader import ProjectReader
from labelgrid.web.overview_page import overview
from tests.pages import labelled_project


def test_it_is_the_status_with_the_newest_round_first(tmp_path):
    with ProjectReader.open(labelled_project(tmp_path)) as project:
        view = overview(project)
        status = project.status()
    assert view.name == "flat" and view.next_step.line == status["next"]
    assert [row["round"] for row in view.rounds] == [2, 1]
    for line in view.tasks:
        assert line.quality == "" and sum(line.counts.values()) == view.images
    assert sum(line.counts["requested"] for line in view.tasks) == 2
