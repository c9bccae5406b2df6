"""What tests with a real browser share."""

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
