"""What the page of suspects shows."""

from labelgrid import Project
from labelgrid.web import suspects_page
from labelgrid.web.suspects_page import suspects_view
from tests.pages import suspicious_project


def test_suspects_come_page_by_page_after_an_audit(tmp_path, monkeypatch):
    with Project.open(suspicious_project(tmp_path)) as project:
        view = suspects_view(project, 1)
        assert view.labels is None and (view.total, view.pages) == (0, 1)
        project.audit()
        everything = project.suspects()
        monkeypatch.setattr(suspects_page, "COUNT", 1)
        view = suspects_view(project, 2)
        assert view.labels == everything[1:2] and view.pages == view.total == len(everything)
        assert suspects_view(project, 10**6).labels == everything[-1:]
        assert view.seen == project.last_event() and not view.has_refused_import
        assert list(view.drawable) == ["semseg"]
