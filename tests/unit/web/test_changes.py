"""Changes are one operation, and a cell that changed since is never changed."""

import pytest

from labelgrid.api.reader import ProjectReader
from labelgrid.web.changes import Change, ConflictError, apply
from tests.pages import cell_in, labelled_project, take_back


def test_a_conflict_on_one_cell_leaves_all_of_them(tmp_path):
    folder = labelled_project(tmp_path)
    first = cell_in(folder, "labelled", "depth")
    second = cell_in(folder, "labelled", "normals")
    with ProjectReader.open(folder) as project:
        seen = {cell: project.cell(cell).history()[-1]["event"] for cell in (first, second)}
        take_back(folder, second)
        with pytest.raises(ConflictError, match=r"became missing \(unlabel"):
            apply(project, "unlabel", Change(cells=[first, second], seen=seen))
        assert project.cell(first).history()[-1]["event"] == seen[first]
        changed = apply(project, "unlabel", Change(cells=[first], seen=seen | {second: 10**9}))
    assert changed == [first]
