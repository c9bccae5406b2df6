"""Laws of the digests of supplied labels: what is known again is not read, and all else is checked."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from labelgrid.basics.errors import LabelError
from labelgrid.lab.simulation.study_suppliers import StudySupplier
from labelgrid.lab.simulation.supplied_digests import SuppliedDigests
from tests.studies import make_data, study_request
from tests.unit.lab.simulation.test_study_suppliers import supply


def test_a_stamp_knows_the_files_again_without_reading_them(tmp_path: Path) -> None:
    folder = supply(make_data(tmp_path / "data"), tmp_path / "data/supplied/net")
    supplier = StudySupplier("net", folder)
    of = study_request(tmp_path)
    first = SuppliedDigests(of)
    content = first.of(supplier)
    assert list(first.digests.values()) == [content]
    known = dict.fromkeys(first.digests, "not read")
    again = SuppliedDigests(of, known)
    assert again.of(supplier) == "not read" and again.digests == known
    os.utime(folder / "depth/0000.png")
    touched = SuppliedDigests(of, known)
    assert touched.of(supplier) == content
    assert not touched.digests.keys() & known.keys()


def test_the_labels_of_other_tasks_are_checked_although_the_files_are_known(tmp_path: Path) -> None:
    folder = supply(make_data(tmp_path / "data"), tmp_path / "data/supplied/net")
    supplier = StudySupplier("net", folder)
    of = study_request(tmp_path)
    first = SuppliedDigests(of)
    first.of(supplier)
    tasks = {**of.study.tasks, "semseg": {"classes": ["wall", "sky"]}}
    other = replace(of, study=replace(of.study, tasks=tasks))
    with pytest.raises(LabelError, match="semseg"):
        SuppliedDigests(other, first.digests).of(supplier)
