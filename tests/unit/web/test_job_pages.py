"""The pages of jobs and of a budget: what they show, and what their parts answer."""

import pytest

from labelgrid.api.reader import ProjectReader
from labelgrid.executors.job import JobFolder
from labelgrid.web import jobs
from labelgrid.web.job_orders import order_of
from tests.jobs import JobMaker, stopped_afterwards, wait_until
from tests.pages import cell_in, client_of, labelled_project


@pytest.fixture
def folder(tmp_path):
    with stopped_afterwards(labelled_project(tmp_path)) as made:
        yield made


def read(client, address):
    answer = client.get(address, headers={"Accept": "text/html"})
    assert answer.status_code == 200, answer.text
    return answer.text


def test_a_job_is_shown_while_it_runs_and_after_its_end(folder):
    with client_of(folder) as client, ProjectReader.open(folder) as project:
        assert "None yet" in read(client, "/jobs") and "Train and measure" in read(client, "/jobs")
        number = jobs.start(project, order_of({"command": "fit", "epochs": 10**5}))
        for address in ("/", "/jobs", f"/jobs/{number}"):
            page = read(client, address)
            assert 'hx-trigger="every 2s"' in page and ">Stop<" in page
            assert '<noscript><meta http-equiv="refresh"' in page
            assert "Train and measure" not in page and "/api/job-form/start" not in page
        maker = JobMaker(JobFolder(folder / "jobs" / f"{number:04d}"))
        wait_until(lambda: "epoch" in read(client, f"/jobs/{number}/now?brief=true"), by=maker)
        part = client.get(f"/jobs/{number}/now?brief=true")
        assert (
            "<progress" in part.text
            and "hx-refresh" not in part.headers
            and "<pre>" not in part.text
        )
        jobs.stop(project, number)
        wait_until(lambda: jobs.active(project) is None)
        part = client.get(f"/jobs/{number}/now")
        assert part.headers["hx-refresh"] == "true" and "hx-get" not in part.text
        page = read(client, f"/jobs/{number}")
        assert "stopped" in page and "resumes it" in page and "htmx" not in page
        assert f'action="/api/job-form/again/{number}"' in page and ">Resume<" in page
        again = client.post(f"/api/job-form/again/{number}")
        assert again.headers["location"] == f"/jobs/{number + 1}"
        jobs.stop(project, number + 1)
        wait_until(lambda: jobs.active(project) is None)


def test_what_a_command_prints_is_escaped(folder):
    with ProjectReader.open(folder) as project:
        jobs.start(project, order_of({"command": "export"}))
        wait_until(lambda: jobs.active(project) is None)
    (folder / "jobs/0001/log.txt").write_text("<script>alert(1)</script>\x1b[31m")
    with client_of(folder) as client:
        assert "<script>alert" not in read(client, "/jobs/1")


def test_the_overview_offers_the_next_step(folder):
    with client_of(folder) as client, ProjectReader.open(folder) as project:
        page = read(client, "/")
        assert "2 labels are requested" in page and "/api/job-form/start/export" in page
        project.cancel()
        assert "/api/job-form/start/fit" in read(client, "/")
        project.fit()
        page = read(client, "/")
        assert "/api/job-form/start/query" in page and 'name="budget" type' in page
        assert "<option selected>labels</option>" in page  # as the last query
        project.request([cell_in(folder, "missing")])  # into a round without a budget
        rounds = read(client, "/").partition("<h2>Rounds</h2>")[2]
    assert '>–</td><td data-name="unit">–</td><td data-name="state">open</td>' in rounds


def test_a_budget_is_advised_on(folder):
    with client_of(folder) as client, ProjectReader.open(folder) as project:
        page = read(client, "/budget?budget=40&unit=cost")
        first = project.advise(budget=40).advice[0].text
        assert client.get("/budget?budget=-1").status_code == 422
        assert client.get("/budget?budget=1&unit=miles").status_code == 422
        by_image = read(client, "/budget?budget=3&unit=images")
        of_last = read(client, "/budget")
    assert 'value="40"' in page and first.split()[0] in page
    assert "cost 40, spent" in page and "About cost 9" in by_image
    assert "<option selected>images</option>" in by_image and 'value="2"' in of_last
    for shown in (page, by_image, of_last):
        assert shown.count('name="budget"') == shown.count('name="unit"') == 1


def test_work_of_a_terminal_is_shown_without_a_button(folder):
    with (
        client_of(folder) as client,
        ProjectReader.open(folder) as project,
        project._job() as progress,
    ):
        progress.start("Scoring", 10, "images")
        for address in ("/", "/jobs"):
            page = read(client, address)
            assert "A command of a terminal" in page and "Scoring" in page
            assert ">Stop<" not in page
