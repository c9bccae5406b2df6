"""Jobs of a project: one at a time, and told as they are, whoever started them."""

import io
import json
import os
import signal
import threading

import pytest

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.errors import LabelgridError, StateError
from labelgrid.executors.job import JobEnd, JobFolder, JobOwner
from labelgrid.web import jobs
from labelgrid.web.job_orders import ImportFile, order_of
from tests.jobs import JobMaker, stopped_afterwards, wait_until
from tests.pages import labelled_project


@pytest.fixture
def folder(tmp_path):
    with stopped_afterwards(labelled_project(tmp_path)) as made:
        yield made


@pytest.fixture
def project(folder):
    with ProjectReader.open(folder) as opened:
        yield opened


def fit(epochs=100_000):
    return order_of({"command": "fit", "epochs": epochs})


def test_a_training_shows_its_progress_and_log_until_it_is_stopped(project):
    number = jobs.start(project, fit())
    with pytest.raises(StateError, match="Job 1 goes on"):
        jobs.start(project, order_of({"command": "audit"}))
    maker = JobMaker(JobFolder(project.folder / "jobs" / f"{number:04d}"))
    wait_until(
        lambda: (
            (shown := jobs.shown(project, number)).now
            and shown.now.eta
            and shown.now.step.what == "Training"  # after images are cached
        ),
        by=maker,
    )
    job = jobs.active(project)
    assert job.state == "running" and job.now.step.what == "Training" and not job.fault
    assert job.line == f"labelgrid fit {project.folder} --epochs 100000"
    assert jobs.elsewhere(project) is None
    with pytest.raises(LabelgridError, match="Another fit"):  # the project's own lock
        project.fit()
    jobs.stop(project, number)
    wait_until(lambda: jobs.active(project) is None)
    job = jobs.shown(project, number)
    assert job.state == "stopped" and job.ended and "resumes it" in job.fault
    assert job.last_line.startswith("Stopped.")
    with pytest.raises(StateError, match="has ended already"):
        jobs.stop(project, number)


def test_a_killed_training_has_ended_without_a_result_and_another_can_start(project):
    number = jobs.start(project, fit())
    owner = JobFolder(project.folder / "jobs/0001").owner
    os.killpg(owner.pid, signal.SIGKILL)
    wait_until(lambda: jobs.active(project) is None)
    job = jobs.shown(project, number)
    assert job.state == "died" and "without a result" in job.fault and job.now is None
    second = jobs.start(project, order_of({"command": "export"}))
    wait_until(lambda: jobs.active(project) is None)
    assert [(job.number, job.state) for job in jobs.jobs(project)] == [(2, "ended"), (1, "died")]
    assert jobs.exported_rounds(project) == [2] and second == 2


def test_of_jobs_that_start_at_once_one_does(folder):
    order = fit()
    answers = []

    def start():
        with ProjectReader.open(folder) as project:
            try:
                answers.append(jobs.start(project, order))
            except StateError as error:
                answers.append(error.what[:5])

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with ProjectReader.open(folder) as project:
        jobs.stop(project, 1)
        wait_until(lambda: jobs.active(project) is None)
    assert sorted(map(str, answers)) == ["1", *["Job 1"] * 5]


def test_what_is_refused_leaves_no_job(project):
    with pytest.raises(LabelgridError, match="no folder of requests"):
        jobs.start(project, order_of({"command": "import", "round": 7}))
    assert jobs.jobs(project) == []


def test_damaged_records_and_links_stop_no_page(project, tmp_path):
    for name, text in (("0003", "{"), ("0004", "[1]"), ("0005", '{"words": 3}')):
        path = project.folder / "jobs" / name
        path.mkdir(parents=True)
        (path / "command.json").write_text(text)
        (path / "pid").write_text("[" * 100_000)
    (project.folder / "jobs/0006").symlink_to(tmp_path)
    (project.folder / "jobs/0007").mkdir()
    assert {job.command for job in jobs.jobs(project)} == {"unknown"}
    assert jobs.active(project) is None
    for number in (0, -1, 6, 7, 8, 10**9):
        with pytest.raises(LabelgridError):
            jobs.shown(project, number)


def test_work_of_a_terminal_is_shown_and_not_stopped(project):
    assert jobs.elsewhere(project) is None
    with project._job() as progress:
        progress.start("Scoring", 10, "images")
        progress.advance(10)
        shown = jobs.elsewhere(project)
        assert shown.step.what == "Scoring" and shown.eta == "0 s"
        assert jobs.active(project) is None
    assert jobs.elsewhere(project) is None


def test_a_job_of_another_machine_is_not_stopped(project):
    path = project.folder / "jobs/0001"
    path.mkdir(parents=True)
    (path / "command.json").write_text('{"words": ["fit", "flat"], "at": ""}')
    JobFolder(path).write("pid", JobOwner(os.getpid(), "1", "elsewhere"))
    assert jobs.shown(project, 1).state == "running"
    with pytest.raises(StateError, match="runs on another machine"):
        jobs.stop(project, 1)
    os.utime(path / "pid", (0, 0))  # it has given no sign since
    assert jobs.shown(project, 1).state == "unknown"
    with pytest.raises(StateError, match=r"may have ended, or go on elsewhere\. No sign for"):
        jobs.stop(project, 1)
    (path / "pid").write_text("[")
    with pytest.raises(StateError, match="Its records cannot be read"):
        jobs.stop(project, 1)
    JobFolder(path).write("pid", JobOwner(os.getpid(), "1", "elsewhere"))
    JobFolder(path).write("end.json", JobEnd("ended"))


def test_a_stopped_job_is_started_again_as_it_was_ordered(project):
    number = jobs.start(
        project, order_of({"command": "fit", "epochs": 3, "changes": {"train.lr": 0.1}})
    )
    jobs.stop(project, number)
    wait_until(lambda: jobs.active(project) is None)
    job = jobs.shown(project, number)
    assert job.again == {"command": "fit", "epochs": 3, "changes": {"train.lr": 0.1}}
    assert job.title == "Train"
    second = jobs.again(project, number)
    jobs.stop(project, second)
    wait_until(lambda: jobs.active(project) is None)
    assert jobs.shown(project, second).line == job.line


def test_a_damaged_or_foreign_record_starts_nothing(project):
    path = project.folder / "jobs/0001"
    path.mkdir(parents=True)
    JobFolder(path).write("end.json", JobEnd("failed"))
    for again in ({}, {"command": "serve"}, {"command": "fit", "changes": {"--trust": 1}}):
        words = {"words": ["fit", "flat", "--trust", "evil"], "at": "", "again": again}
        (path / "command.json").write_text(json.dumps(words))
        with pytest.raises(StateError, match="cannot be started again"):
            jobs.again(project, 1)
    assert len(jobs.jobs(project)) == 1


def test_a_refused_file_is_named_as_its_user_named_it(project):
    order = ImportFile(name="my answers.json", file=io.BytesIO(b'{"a": 1}'))
    number = jobs.start(project, order)
    wait_until(lambda: jobs.active(project) is None)
    job = jobs.shown(project, number)
    assert job.state == "failed" and "(my answers.json)" in job.fault
    assert str(project.folder) not in job.fault + job.printed
    assert job.title == "Import my answers.json"
    assert job.again == {"command": "import", "job": number}
