"""Long work in a real browser: it is started, watched and stopped there, and outlives page and server."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

from labelgrid.api.reader import ProjectReader
from labelgrid.audit.suspects import suspects
from labelgrid.executors.job import JobFolder
from tests.browsers import PATIENCE, opened, served
from tests.jobs import JobMaker, stopped_afterwards, wait_until
from tests.pages import labelled_project, suspicious_project
from tests.started import Started

expect.set_options(timeout=2 * PATIENCE)  # a training takes its time


@pytest.fixture
def folder(tmp_path):
    with stopped_afterwards(labelled_project(tmp_path)) as made:
        with ProjectReader.open(made) as project:
            project.cancel()  # so the next step is a training
        yield made


@contextmanager
def served_by_process(folder) -> Iterator[tuple[str, Started]]:
    """The address that the command prints, and its process."""
    words = [sys.executable, "-m", "labelgrid", "serve", str(folder), "--port", "0"]
    with Started(*words) as process:
        yield process.next_line().split()[0], process


def test_a_training_is_started_watched_through_a_reload_and_its_quality_is_shown(browser, folder):
    page = opened(browser)
    with served(folder) as address:
        page.goto(address)
        expect(page.get_by_text("not measured yet")).to_have_count(3)
        page.goto(f"{address}jobs")
        page.get_by_label("epochs").fill("60")
        page.get_by_role("button", name="Train and measure").click()
        expect(page.get_by_role("heading", name="Job 1: fit")).to_be_visible()
        expect(page.get_by_role("progressbar", name="Training")).to_be_visible()
        page.reload()
        expect(page.locator(".now")).to_contain_text("left")  # the time until the end
        expect(page.locator(".job.ended")).to_be_visible()  # without a click
        expect(page.locator(".log")).to_contain_text("mIoU")
        page.get_by_role("link", name="Overview").first.click()
        expect(page.get_by_text("not measured yet")).to_have_count(0)
        expect(page.locator("main")).to_contain_text("mIoU")
    assert not page.faults


def test_a_training_goes_on_without_page_and_server_until_it_is_stopped(browser, folder):
    page = browser.new_page()
    with served_by_process(folder) as (link, server):
        page.goto(link)
        assert "token" not in page.url
        page.goto(f"{page.url}jobs")
        page.get_by_label("epochs").fill("100000")
        page.get_by_role("button", name="Train and measure").click()
        expect(page.get_by_role("progressbar", name="Training")).to_be_visible()
        server.send_signal(signal.SIGKILL)
        server.wait()
    with ProjectReader.open(folder) as project:
        before = project.disk.job.step.done
        maker = JobMaker(JobFolder(folder / "jobs/0001"))
        wait_until(lambda: project.disk.job.step.done > before, by=maker)
    page.close()
    page = opened(browser)
    with served(folder) as address:
        page.goto(address)
        expect(page.get_by_role("heading", name="Running: fit")).to_be_visible()
        expect(page.get_by_role("progressbar", name="Training")).to_be_visible()
        page.get_by_role("button", name="Stop").click()
        expect(page.locator(".job.stopped")).to_be_visible()
        page.get_by_role("link", name="All jobs").click()
        expect(page.get_by_role("button", name="Train and measure")).to_be_visible()
    assert not page.faults


def test_jobs_are_started_and_their_end_is_shown_without_javascript(browser, tmp_path):
    folder = labelled_project(tmp_path)  # its labels are requested, so the next step is an export
    page = opened(browser, java_script_enabled=False)
    with stopped_afterwards(folder), served(folder) as address:
        page.goto(address)
        page.get_by_role("button", name="Export").click()
        expect(page.get_by_role("heading", name="Job 1: export")).to_be_visible()
        expect(page.locator(".job.ended")).to_be_visible()  # the page loads itself again
        expect(page.locator(".log")).to_contain_text("Wrote requests")


def test_the_budget_leads_from_what_it_may_gain_to_the_picks(browser, folder):
    page = opened(browser)
    with ProjectReader.open(folder) as project:
        project.fit()
    with served(folder) as address:
        page.goto(address)
        page.get_by_label("budget").fill("2")
        page.locator("[name=unit]").select_option("labels")
        page.get_by_role("button", name="What would it gain?").click()
        expect(page.locator(".advice li").first).to_be_visible()
        expect(page.get_by_label("budget")).to_have_value("2")
        page.get_by_role("button", name="Show the picks only").click()
        expect(page.locator(".job.ended")).to_be_visible()
        expect(page.locator(".log")).to_contain_text("Picks: the first 2 of 2")
    assert not page.faults
    with ProjectReader.open(folder) as project:
        assert not project.cells(state="requested")


def test_suspects_are_confirmed_and_taken_back(browser, tmp_path):
    folder = suspicious_project(tmp_path)
    page = opened(browser)
    with stopped_afterwards(folder), served(folder) as address:
        page.goto(f"{address}suspects")
        page.get_by_role("button", name="Look for wrong labels").click()
        expect(page.locator(".job.ended")).to_be_visible()
        page.get_by_role("link", name="Suspects").click()
        found = page.locator(".suspects > li")
        count = found.count()
        name = found.first.locator("h2").inner_text()
        assert count > 1 and found.first.get_by_role("img").count() == 2
        found.first.get_by_role("button", name="It is right").click()
        expect(found).to_have_count(count - 1)
        expect(found.first.locator("h2")).not_to_have_text(name)
        found.first.get_by_role("button", name="Take it back").click()
        expect(found).to_have_count(count - 2)
    assert not page.faults
    with ProjectReader.open(folder) as project:
        assert len(suspects(project.disk)) == count - 2
