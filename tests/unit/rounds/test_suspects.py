"""Laws of suspects: those that an audit doubts, until somebody has dealt with them."""

import csv
import shutil
from dataclasses import replace

import pytest

from labelgrid import Project
from labelgrid.errors import ProjectError
from labelgrid.rounds.suspects import suspects
from tests.e2e.commands import done
from tests.pages import suspicious_project


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project, which each test copies."""
    return suspicious_project(tmp_path_factory.mktemp("suspicious"))


@pytest.fixture
def project(tmp_path, made):
    with Project.open(shutil.copytree(made, tmp_path / "flat")) as opened:
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


def test_an_audit_leaves_confirmed_labels_out_and_counts_them(project):
    first, *rest = project.audit().doubtful()
    project.confirm([name(first)])
    audited = project.audit()
    assert audited.doubtful() == rest
    confirmed = [label for label in audited.labels if label.confirmed]
    assert confirmed == [replace(first, confirmed=True)]
    with (project.folder / "audit.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows if row["confirmed"] == "yes"] == [first.image]
    project.confirm([name(label) for label in rest])
    told = done("audit", project.folder).out
    assert f"{len(rest) + 1} confirmed labels are left out; --all shows them, too." in told
    assert "speaks against 0 of" in told and not (project.folder / "audit.png").exists()
    told = done("audit", project.folder, "--all").out
    assert f"speaks against {len(rest) + 1} of" in told and "left out" not in told
    assert (project.folder / "audit.png").is_file()


def test_a_damaged_table_is_told(project):
    for text in ("task,image\ndepth,a\n", "place\none\n", "\0"):
        (project.folder / "audit.csv").write_text(text)
        if text != "\0":
            with pytest.raises(ProjectError, match="is damaged"):
                project.suspects()
    (project.folder / "audit.csv").write_bytes(b"\xff\xfe\n\xff")
    with pytest.raises(ProjectError, match="is damaged"):
        project.suspects()
