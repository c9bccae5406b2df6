"""What tests with a real browser share."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from playwright.sync_api import Browser, Page, expect

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


def open_brush(browser: Browser, address: str, cell: str, **options: Any) -> Page:
    """The page with the brush, once what it starts from is drawn."""
    page = opened(browser, **{"viewport": {"width": 1200, "height": 900}, **options})
    page.goto(f"{address}brush?cell={cell}")
    expect(page.locator(".loading")).to_have_count(0)
    return page


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw from one place of the image to another; both as (x, y) in its pixels."""
    sheet = page.locator(".sheet canvas").bounding_box()
    assert sheet
    scale = sheet["width"] / page.evaluate("document.querySelector('canvas').width")
    for number, (x, y) in enumerate((start, end)):
        page.mouse.move(sheet["x"] + x * scale, sheet["y"] + y * scale, steps=5)
        page.mouse.down() if number == 0 else page.mouse.up()


def save(page: Page) -> None:
    """Save, even if the drawing looks wrong beside other labels."""
    done = page.get_by_text("Saved.").or_(page.get_by_text("Done: 1 changed."))
    anyway = page.get_by_role("button", name="Save it nevertheless")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(done.or_(anyway)).to_be_visible()
    if anyway.is_visible():
        anyway.click()
    expect(done).to_be_visible()


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
