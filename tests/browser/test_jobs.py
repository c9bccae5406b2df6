"""Long work in a real browser: it is started, watched and stopped there, and outlives page and server."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect, sync_playwright

from labelgrid import Project
from tests.jobs import stopped_afterwards, wait_until
from tests.pages import labelled_project

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: ./dev browser")
#: Milliseconds that the browser waits for the page, on a busy machine.
PATIENCE = 120_000
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE
        )
        yield started
        started.close()


@pytest.fixture
def folder(tmp_path):
    with stopped_afterwards(labelled_project(tmp_path)) as made:
        with Project.open(made) as project:
            project.cancel()  # so the next step is a training
        yield made


@contextmanager
def served(folder, port=0) -> Iterator[tuple[str, subprocess.Popen]]:
    """The address of the project's page, and the process that serves it."""
    words = [sys.executable, "-m", "labelgrid", "serve", str(folder), "--port", str(port)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        yield process.stdout.readline().split()[0], process
        process.terminate()


def opened(browser, **options):
    """A page that fails the test at a script's error."""
    page = browser.new_page(**options)
    page.set_default_timeout(PATIENCE)
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda message: page.faults.append(message.text))
    return page


def test_a_training_is_started_watched_through_a_reload_and_its_quality_is_shown(browser, folder):
    page = opened(browser)
    with served(folder) as (address, _):
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
    page = opened(browser)
    with served(folder) as (address, server):
        page.goto(f"{address}jobs")
        page.get_by_label("epochs").fill("100000")
        page.get_by_role("button", name="Train and measure").click()
        expect(page.get_by_role("progressbar", name="Training")).to_be_visible()
        server.send_signal(signal.SIGKILL)
        server.wait()
    with Project.open(folder) as project:
        before = project.job.step.done
        wait_until(lambda: project.job.step.done > before)
    page.close()
    page = opened(browser)
    with served(folder) as (address, _):
        page.goto(address)
        expect(page.get_by_role("heading", name="Running: fit")).to_be_visible()
        expect(page.get_by_role("progressbar", name="Training")).to_be_visible()
        page.get_by_role("button", name="Stop").click()
        expect(page.locator(".job.stopped")).to_be_visible()
        page.get_by_role("link", name="All jobs").click()
        expect(page.get_by_role("button", name="Train and measure")).to_be_visible()
    assert not page.faults


def test_jobs_are_started_and_stopped_without_javascript(browser, folder):
    page = opened(browser, java_script_enabled=False)
    with served(folder) as (address, _):
        page.goto(address)
        page.get_by_role("button", name="Train").click()
        expect(page.get_by_role("heading", name="Job 1: fit")).to_be_visible()
        expect(page.locator(".job.ended")).to_be_visible()  # the page loads itself again
        expect(page.locator(".log")).to_contain_text("mIoU")


def test_the_budget_leads_from_what_it_may_gain_to_the_picks(browser, folder):
    page = opened(browser)
    with Project.open(folder) as project:
        project.fit()
    with served(folder) as (address, _):
        page.goto(address)
        page.get_by_role("link", name="What would it gain?").click()
        page.get_by_label("cost", exact=True).fill("30")
        page.get_by_role("button", name="Show", exact=True).click()
        expect(page.locator(".advice li").first).to_be_visible()
        page.get_by_label("budget").fill("2")
        page.get_by_role("button", name="Show the picks only").click()
        expect(page.locator(".job.ended")).to_be_visible()
        expect(page.locator(".log")).to_contain_text("Picks: the first 2 of 2")
    assert not page.faults
    with Project.open(folder) as project:
        assert not project.cells(state="requested")
