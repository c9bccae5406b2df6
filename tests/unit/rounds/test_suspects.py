"""Laws of suspects: those that an audit doubts, until somebody has dealt with them."""

import pytest

from labelgrid import Project
from labelgrid.errors import ProjectError
from labelgrid.rounds.suspects import suspects
from tests.pages import suspicious_project


@pytest.fixture
def project(tmp_path):
    with Project.open(suspicious_project(tmp_path)) as opened:
        yield opened


def name(label):
    return f"{label.image}:{label.task}"


def test_suspects_are_the_doubted_labels_of_the_last_audit(project):
    assert suspects(project._project) is None
    doubted = [label for label in project.audit().labels if label.doubt]
    found = project.suspects()
    assert found and [vars(label) for label in found] == [vars(label) for label in doubted]


def test_a_label_that_somebody_dealt_with_is_none_of_them(project):
    project.audit()
    first, second, *rest = project.suspects()
    project.confirm([name(first)])
    project.unlabel([name(second)])
    assert project.suspects() == rest
    project.audit()
    assert name(first) not in map(name, project.suspects())


def test_a_damaged_table_is_told(project):
    for text in ("task,image\ndepth,a\n", "place\none\n", "\0"):
        (project.folder / "audit.csv").write_text(text)
        if text != "\0":
            with pytest.raises(ProjectError, match="is damaged"):
                project.suspects()
    (project.folder / "audit.csv").write_bytes(b"\xff\xfe\n\xff")
    with pytest.raises(ProjectError, match="is damaged"):
        project.suspects()
