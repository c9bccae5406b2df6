"""Laws of suspects: those that an audit doubts, until somebody has dealt with them."""

import csv
import json
import shutil
from dataclasses import replace

import pytest

from labelgrid.api.reader import ProjectReader
from labelgrid.audit.suspects import suspect_paths, suspects
from labelgrid.basics.errors import ProjectError
from tests.e2e.commands import done, refused
from tests.pages import suspicious_project


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project, which each test copies."""
    return suspicious_project(tmp_path_factory.mktemp("suspicious"))


@pytest.fixture
def project(tmp_path, made):
    with ProjectReader.open(shutil.copytree(made, tmp_path / "flat")) as opened:
        yield opened


@pytest.fixture(scope="module")
def audited_once(tmp_path_factory, made):
    """The same after an audit, which each test copies."""
    folder = shutil.copytree(made, tmp_path_factory.mktemp("audited") / "flat")
    with ProjectReader.open(folder) as opened:
        opened.audit()
    return folder


@pytest.fixture
def audited(tmp_path, audited_once):
    with ProjectReader.open(shutil.copytree(audited_once, tmp_path / "flat")) as opened:
        yield opened


def name(label):
    return f"{label.image}:{label.task}"


def test_suspects_are_the_doubted_labels_of_the_last_audit(project):
    assert suspects(project._project) is None
    doubted = [label for label in project.audit().labels if label.doubt]
    found = suspects(project.disk)
    assert found and [vars(label) for label in found] == [vars(label) for label in doubted]


def test_a_label_that_somebody_dealt_with_is_none_of_them(audited):
    project = audited
    first, second, *rest = suspects(project.disk)
    project.confirm([name(first)])
    project.unlabel([name(second)])
    assert suspects(project.disk) == rest
    project.audit()
    assert name(first) not in map(name, suspects(project.disk))


def test_a_reason_holds_no_more_once_the_label_that_it_speaks_of_is_replaced(audited, made):
    project = audited
    before = {name(label): label for label in suspects(project.disk)}
    wrong, accused = "0011.jpg:depth", before["0011.jpg:normals"]
    assert set(accused.others) == set(accused.reasons)  # all speak of the wrong depth
    right = made.parent / "made/labels/depth/0005.png"  # the two were exchanged
    project.cell(wrong).import_label(right, accept=True)
    after = {name(label): label for label in suspects(project.disk)}
    gone = {wrong, name(accused)}
    assert after == {key: label for key, label in before.items() if key not in gone}
    assert {f"{cell.image_id}:{cell.task}" for cell in suspect_paths(project.disk)} == {
        wrong,
        *after,
    }


def test_a_table_of_an_audit_of_before_tells_the_same_suspects(audited):
    project = audited
    found = suspects(project.disk)
    table = project.folder / "audit.csv"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with table.open("w", newline="") as file:
        columns = [key for key in rows[0] if key != "others"]
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    assert suspects(project.disk) == [replace(label, others={}) for label in found]


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


def test_an_audit_names_the_command_that_confirms(project):
    told = done("audit", project.folder).out
    first, *rest = suspects(project.disk)
    right = f"labelgrid audit {project.folder} --confirm {name(first)}"
    assert f"Where a label is right: {right}, for example; it is not doubted again." in told
    said = done("audit", project.folder, "--confirm", name(first)).out
    assert said == "1 label is noted as right, and left out of audits until replaced.\n"
    assert suspects(project.disk) == rest and project.audit().doubtful() == rest
    values = json.loads(done("audit", project.folder, "--confirm", name(rest[0]), "--json").out)
    assert values == {"confirmed": [{"image": rest[0].image, "task": rest[0].task}]}


def test_an_option_of_an_audit_beside_one_that_does_none_is_refused(project):
    words = ("audit", project.folder, "--confirm", "0000.jpg:depth")
    assert "does no audit" in refused(project.folder, *words, "--folds", 2, code=2)
    told = refused(project.folder, *words, "--all", code=2)
    assert "--confirm notes that labels are right and does no audit" in told


def test_a_damaged_table_is_told(project):
    for text in ("task,image\ndepth,a\n", "place\none\n", "\0"):
        (project.folder / "audit.csv").write_text(text)
        if text != "\0":
            with pytest.raises(ProjectError, match="is damaged"):
                suspects(project.disk)
    (project.folder / "audit.csv").write_bytes(b"\xff\xfe\n\xff")
    with pytest.raises(ProjectError, match="is damaged"):
        suspects(project.disk)


@pytest.mark.parametrize("others", ["5", '"abc"', "[1]"])
def test_others_that_are_no_table_are_damage(audited, others):
    project = audited
    with (project.folder / "audit.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with (project.folder / "audit.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(row | {"others": others} for row in rows)
    with pytest.raises(ProjectError, match="is damaged"):
        suspects(project.disk)
