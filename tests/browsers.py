"""What tests with a real browser share."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

#: Milliseconds that the browser waits for the page, on a busy machine.
PATIENCE = 60_000


def opened(browser: Browser, **options: Any) -> Page:
    """A page that notes in `faults` a script's error or a message of the browser's console."""
    page = browser.new_page(**options)
    page.set_default_timeout(PATIENCE)
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda message: page.faults.append(message.text))
    return page


def press(page: Page, key: str) -> None:
    """Press a key once the page's script listens."""
    page.wait_for_load_state()
    page.keyboard.press(key)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a project's page, served by the command."""
    words = [sys.executable, "-m", "labelgrid", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().split()[0]
        finally:
            process.terminate()
