"""The pictures that imports wrote: that of a job, and that of the newest refused one."""

import os

import pytest

from labelgrid.api.reader import ProjectReader
from labelgrid.web.import_pictures import picture_of, refused_picture
from labelgrid.web.jobs import shown
from tests.pages import labelled_project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    with ProjectReader.open(labelled_project(tmp_path_factory.mktemp("pictures"))) as opened:
        yield opened


@pytest.fixture(autouse=True)
def no_pictures(project):
    for path in (*project.folder.glob("import*.png"), *project.folder.glob("import-*/*.png")):
        path.unlink()


def picture(project, name, second):
    path = project.folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\x89PNG")
    os.utime(path, (second, second))
    return path


def job(project, begin, end, command="import"):
    folder = project.folder / "jobs/0001"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "command.json").write_text(f'{{"words": ["{command}"], "at": ""}}')
    os.utime(folder / "command.json", (begin, begin))
    (folder / "end.json").unlink(missing_ok=True)
    if end:
        (folder / "end.json").write_text('{"state": "ended"}')
        os.utime(folder / "end.json", (end, end))
    return shown(project, 1)


def test_the_picture_of_a_job_is_the_one_that_its_import_wrote(project):
    first = picture(project, "import.png", 1000.5)
    second = picture(project, "import-2/import.png", 2000)
    assert picture_of(project, job(project, 1000, 1001)) == first
    assert picture_of(project, job(project, 1995, 2003)) == second
    assert picture_of(project, job(project, 3000, 3001)) is None  # replaced by a later one
    assert picture_of(project, job(project, 1000, 0)) is None  # it goes on
    assert picture_of(project, job(project, 1000, 1001, "audit")) is None
    refused = picture(project, "import-suspicious.png", 5000)
    assert picture_of(project, job(project, 4999, 5000)) == refused


def test_the_newest_refused_import_is_shown_and_no_link(project):
    assert refused_picture(project) is None
    one = picture(project, "import-suspicious.png", 1000)
    other = picture(project, "import-2/import-suspicious.png", 2000)
    assert refused_picture(project) == other
    other.unlink()
    other.symlink_to("/etc/hostname")
    assert refused_picture(project) == one
