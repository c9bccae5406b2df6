"""What the page of a round shows: its picks, page by page, with what became of them."""

import pytest

from labelgrid.advice.control_record import ComparisonRecord, write_comparison
from labelgrid.api.reader import ProjectReader
from labelgrid.basics.errors import LabelgridError
from labelgrid.web import round_page
from labelgrid.web.round_page import RoundQuery, round_view
from tests.pages import labelled_project


@pytest.fixture
def project(tmp_path):
    with ProjectReader.open(labelled_project(tmp_path)) as opened:
        yield opened


def name(shown):
    return f"{shown.pick.cell.image_id}:{shown.pick.cell.task}"


def picks_of(view):
    return [shown for line in view.photographs for shown in line.picks]


def test_picks_are_shown_with_their_answers_as_they_come_in(project):
    view = round_view(project, RoundQuery(number=1))
    assert view.counts == {"labelled": 6, "skipped": 0, "open": 0, "cancelled": 0}
    assert (view.before, view.after, view.control) == (None, 2, None)
    view = round_view(project, RoundQuery(number=2))
    first, second = picks_of(view)
    assert (first.answer, second.answer) == ("open", "open")
    project.skip([name(first)])
    project.cancel([name(second)])
    view = round_view(project, RoundQuery(number=2))
    assert [shown.answer for shown in picks_of(view)] == ["skipped", "cancelled"]
    assert view.total == 2 and view.values["strategy"] == "random_cells"


def test_each_photograph_is_shown_once_with_its_label_and_prediction(project):
    view = round_view(project, RoundQuery(number=1))
    assert len(view.photographs) == 2
    for line in view.photographs:
        assert [shown.pick.cell.image_id for shown in line.picks] == [line.image_id] * 3
        assert [shown.pick.cell.task for shown in line.picks] == list(project.tasks)
        assert [shown.layers for shown in line.picks] == [["label"]] * 3
    cell = view.photographs[0].picks[0].pick.cell
    stem = cell.image_id.rpartition(".")[0]
    prelabel = project.folder / f"rounds/0001/prelabels/{cell.task}/{stem}.png"
    prelabel.parent.mkdir(parents=True, exist_ok=True)
    prelabel.write_bytes(b"")
    view = round_view(project, RoundQuery(number=1))
    assert view.photographs[0].picks[0].layers == ["label", "prelabel"]


def test_photographs_come_page_by_page(project, monkeypatch):
    monkeypatch.setattr(round_page, "COUNT", 1)
    first = round_view(project, RoundQuery(number=1))
    last = round_view(project, RoundQuery(number=1, page=99))
    assert (first.page, first.pages, last.page) == (1, 2, 2)
    names = list(map(name, [*picks_of(first), *picks_of(last)]))
    assert len(set(names)) == 6 and first.total == last.total == 6


def test_whether_picks_paid_is_shown_if_it_was_measured(project):
    record = ComparisonRecord(answer="pay", text="The picks pay.", spent=3.0, seeds=6)
    write_comparison(project.folder, record)
    assert round_view(project, RoundQuery(number=1)).control == record


def test_a_round_that_is_not_there_is_told(project):
    with pytest.raises(LabelgridError, match="no round 7"):
        round_view(project, RoundQuery(number=7))
