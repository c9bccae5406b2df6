"""The documentation site in a real browser: complete without any other server, at the width of a telephone, too."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import expect

from tests.browsers import PATIENCE, opened
from tools.source import ROOT

PAGES = ("index", "tutorial", "comparison", "api", "notebooks/first-campaign")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(browser: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the built site; it is not built where there is no browser."""
    folder = tmp_path_factory.mktemp("site")
    build(folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def build(folder: Path) -> None:
    words = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    subprocess.run(words, cwd=ROOT, check=True)


@pytest.mark.parametrize("width", [390, 1440])
def test_pages_fit_and_ask_no_other_server(browser, address, width):
    page = opened(browser, viewport={"width": width, "height": 900})
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    for name in PAGES:
        page.goto(f"{address}/{name}.html")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
    assert asked
    assert all(url.startswith((address, "data:")) for url in asked)
    assert page.faults == []


def test_a_word_is_found(browser, address):
    page = opened(browser, viewport={"width": 1440, "height": 900})
    page.goto(f"{address}/index.html")
    search = page.get_by_role("textbox", name="Search")
    search.click()
    search.press_sequentially("lidar")
    found = page.locator(".md-search-result__list")
    expect(found).to_contain_text("A lidar: sparse depth", timeout=PATIENCE)
    assert page.faults == []
