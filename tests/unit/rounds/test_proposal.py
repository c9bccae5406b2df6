"""The picks that a dry run keeps are requested as its query would have requested them, or not at all."""

import json
import shutil

import pytest

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.errors import ProjectError, StateError, UsageError
from labelgrid.rounds.proposal import read_proposal
from labelgrid.rounds.query import is_current
from tests.databases import content
from tests.pages import cell_in, labelled_project, take_back


@pytest.fixture
def folder(tmp_path):
    return labelled_project(tmp_path)


def rows(folder):
    """What a query leaves in the ledger, without the times."""
    tables = content(folder / "labelgrid.db")
    return [tables[name] for name in ("events", "cells", "rounds", "notes")]


def test_the_ledger_and_the_files_are_as_after_the_query(folder):
    one, other = folder, shutil.copytree(folder, folder.parent / "other")
    options = {"strategy": "random_cells", "new": True, "control": "50%"}
    with ProjectReader.open(one) as project:
        asked = project.query(4, **options)
    path = other.parent / "picks.json"
    with ProjectReader.open(other) as project:
        before = rows(other)
        shown = project.query(4, dry_run=True, save=path, **options)
        assert rows(other) == before
        kept = read_proposal(path)
        assert kept.picks == shown.picks == asked.picks and is_current(project.disk, kept)
        assert project.query(picks=path) == asked
    assert rows(other) == rows(one)
    picks = [folder / "rounds/0003/picks.json" for folder in (one, other)]
    assert picks[0].read_text() == picks[1].read_text()


def test_picks_are_refused_once_a_cell_changed_and_what_is_no_file_of_them_is_told(folder):
    path = folder.parent / "picks.json"
    with ProjectReader.open(folder) as project:
        project.query(4, dry_run=True, new=True, save=path)
        take_back(folder, cell_in(folder, "labelled"))
        before = rows(folder)
        with pytest.raises(StateError, match="changed the pool after the picks were chosen"):
            project.query(picks=path)
        values = json.loads(path.read_text())
        for text in ("", "[]", "{}", json.dumps({**values, "picks": [{"cell": 3}]})):
            path.write_text(text)
            with pytest.raises(ProjectError, match="is no file of picks"):
                project.query(picks=path)
        refused = [{name: path, "budget": 3} for name in ("picks", "save")]
        refused += [{"picks": path, "tasks": ["depth"]}, {"picks": path, "control": "50%"}]
        for options in refused:
            with pytest.raises(UsageError, match=r"`(picks|save)=`"):
                project.query(**options)
        assert rows(folder) == before and len(project.disk.store.rounds()) == 2
