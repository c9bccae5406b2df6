"""What the first page shows."""

from labelgrid.api.reader import ProjectReader
from labelgrid.web.overview_page import overview
from tests.pages import client_of, labelled_project


def test_it_is_the_status_with_the_newest_round_first(tmp_path):
    folder = labelled_project(tmp_path)
    with ProjectReader.open(folder) as project, client_of(folder) as client:
        view = overview(project)
        status = project.status()
        page = client.get("/", headers={"Accept": "text/html"}).text
    assert view.status == status and view.next_step.line == status["next"]
    assert not view.quality
    assert page.index('href="/round?number=2"') < page.index('href="/round?number=1"')
    assert page.count("not measured yet") == len(status["tasks"])
