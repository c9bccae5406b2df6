"""What the page of suspects shows."""

from dataclasses import replace

from labelgrid.api.reader import ProjectReader
from labelgrid.audit.suspects import suspects
from labelgrid.evidence.part_grid import PartBox
from labelgrid.web import suspects_page
from labelgrid.web.suspects_page import suspects_view
from tests.pages import client_of, suspicious_project


def test_suspects_come_page_by_page_after_an_audit(tmp_path, monkeypatch):
    with ProjectReader.open(suspicious_project(tmp_path)) as project:
        view = suspects_view(project, 1)
        assert view.labels is None and (view.total, view.pages) == (0, 1)
        project.audit()
        everything = suspects(project.disk)
        monkeypatch.setattr(suspects_page, "COUNT", 1)
        view = suspects_view(project, 2)
        assert view.labels == everything[1:2] and view.pages == view.total == len(everything)
        assert suspects_view(project, 10**6).labels == everything[-1:]
        assert view.seen == project.disk.store.last_event() and not view.has_refused_import
        assert list(view.drawable) == ["semseg"]


def test_the_part_that_looks_wrong_is_drawn_on_the_photograph_and_the_label(tmp_path, monkeypatch):
    folder = suspicious_project(tmp_path)
    with client_of(folder) as client, ProjectReader.open(folder) as project:
        project.audit()
        first = suspects(project.disk)[0]
        boxed = replace(first, part=PartBox(25, 50, 75, 100))
        monkeypatch.setattr(suspects_page, "suspects", lambda disk: [boxed])
        height, width = project.image_size(first.image)
        page = client.get("/suspects", headers={"Accept": "text/html"}).text
    assert page.count(f'<svg viewBox="0 0 {width} {height}"') == 2
    assert page.count(f'x="{width / 4}" y="{height / 2}" width="{width / 2}"') == 4
