"""What tests with a real browser share."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from playwright.sync_api import Browser, Page

from labelgrid.web.app import build_app
from labelgrid.web.guard import Access
from labelgrid.web.server import server_of

#: Milliseconds that the browser waits for the page, on a busy machine.
PATIENCE = 60_000
#: What pages of `served` must show, and pages of `opened` do.
TOKEN = "a-token-of-the-tests"
#: A scheme of colours, and the rules of axe for it: what is dark differs in its colours alone.
AXE_RULES = (
    ("light", {"resultTypes": ["violations"]}),
    ("dark", {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}),
)


def opened(browser: Browser, **options: Any) -> Page:
    """A page that notes in `faults` a script's error or a message of the browser's console."""
    page = browser.new_page(extra_http_headers={"Authorization": f"Bearer {TOKEN}"}, **options)
    page.set_default_timeout(PATIENCE)
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda message: page.faults.append(message.text))
    return page


def press(page: Page, key: str) -> None:
    """Press a key once the page's script listens and what changed last is drawn."""
    page.wait_for_load_state()
    page.evaluate("() => new Promise(requestAnimationFrame)")
    page.keyboard.press(key)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a project's page, served by a thread: the command takes seconds to load."""
    server = server_of(build_app(folder, Access(token=TOKEN)), patience=1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()
