"""Servers that never come to an end, asked by commands: each is refused with a sentence in time.

They are real servers on this machine, one a trial: they list for ever, repeat themselves, or send one
byte in a while. The program's minute is shortened to some seconds, the servers' bytes are as slow.
"""

import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import DEVNULL, TimeoutExpired
from typing import Any
from unittest.mock import patch

from labelgrid.annotate import label_studio_client
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.tool_server import tool_server
from labelgrid.storage.store_settings import PATIENCE
from tests.e2e.commands import typed
from tests.started import Started
from tests.torture.hostile import Attack

#: The seconds that are a minute here, and those between two bytes.
MINUTE = 4.0
PAUSE = 0.3
#: How soon a command ends after Ctrl-C, with room for a busy machine.
AT_ONCE = 15.0
TOKEN = "0123456789abcdef" * 2 + "01234567"


class Server(ThreadingHTTPServer):
    """Answers in one way, until it is closed."""

    daemon_threads = True

    def __init__(self, way: str, key: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.way = way
        self.key = key
        self.closed = threading.Event()
        self.asked = threading.Event()

    def server_close(self) -> None:
        self.closed.set()
        super().server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers as a Label Studio server would, but for the way in which it has no end."""

    server: Server
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        page = int((re.search(r"[?&]page=(\d+)", self.path) or [0, "1"])[1])
        slow, _, where = self.server.way.partition(" in ")
        if where and where in path:
            self.server.asked.set()
            getattr(self, slow.replace(" ", "_"))()
            return
        self.send_json(self.content(path, page))

    do_GET = do_POST = do_PATCH = do_HEAD = answer

    def content(self, path: str, page: int) -> Any:
        if path == "/api/version":
            return {"label-studio-os-package": {"version": "1.23.0"}}
        if path == "/api/projects/":
            return self.projects(page)
        self.server.asked.set()
        return self.tasks(page)

    def projects(self, page: int) -> dict[str, Any]:
        shift = {"projects for ever": 100 * page, "the same projects for ever": 0}
        first = shift.get(self.server.way, 0)
        text = f"labelgrid {self.server.key}, depth, round 1. x"
        listed = [{"id": first + number, "description": text} for number in range(1, 101)]
        return {"results": listed, "next": "more" if self.server.way in shift else None}

    def tasks(self, page: int) -> dict[str, Any]:
        ways = {
            "tasks for ever": (40 * page, 40 * page + 41),
            "the same tasks for ever": (0, 10**9),
            "one task for ever": (0, 10**9),
        }
        first, total = ways.get(self.server.way, (0, 1))
        count = 1 if self.server.way == "one task for ever" else 40
        tasks = [
            {"id": first + number, "data": {"request_id": "x"}, "annotations": []}
            for number in range(count)
        ]
        return {"tasks": tasks, "total": total}

    def send_json(self, content: Any) -> None:
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def drop(self, data: Iterator[bytes], pause: float = PAUSE) -> None:
        """Send pieces until the server is closed or nobody listens."""
        for piece in data:
            try:
                self.wfile.write(piece)
                self.wfile.flush()
            except OSError:
                return
            if self.server.closed.wait(pause):
                return

    def silence(self) -> None:
        self.server.closed.wait()

    def slow_head(self) -> None:
        self.drop(iter(lambda: b"H", b""))

    def slow_headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-A: ")
        self.drop(iter(lambda: b"a", b""))

    def slow_content(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000000")
        self.end_headers()
        self.drop(iter(lambda: b" ", b""))

    def slow_refusal(self) -> None:
        self.send_response(400)
        self.send_header("Content-Length", "100000000")
        self.end_headers()
        self.drop(iter(lambda: b" ", b""))

    def much_content(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.drop(iter(lambda: b"[" * 2**20, b""), pause=0)

    def lists_in_lists(self) -> None:
        self.send_json([[] for _ in range(5_000_000)])

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(way: str, key: str) -> Iterator[Server]:
    server = Server(way, key)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


#: The ways of a Label Studio server.
STUDIO = (
    *("projects for ever", "the same projects for ever"),
    *("tasks for ever", "the same tasks for ever", "one task for ever"),
    *(
        f"{way} in {where}"
        for where in ("/api/version", "/api/projects", "/api/tasks")
        for way in (
            *("silence", "slow head", "slow headers", "slow content", "slow refusal"),
            *("much content", "lists in lists"),
        )
    ),
)
#: The ways of a store of objects.
STORES = ("silence in /", "slow head in /", "slow content in /")
SCHEMES = ("http", "s3", "gs")


@dataclass
class Endless(Attack):
    """One such server, asked by one command; or Ctrl-C to a command that waits for it."""

    name = "endless servers"

    @cached_property
    def trials(self) -> list[tuple[str, str]]:
        return [
            *(("studio", way) for way in STUDIO),
            *((scheme, way) for way in STORES for scheme in SCHEMES),
            *(("Ctrl-C", way) for way in ("silence in /api/tasks", "slow content in /api/tasks")),
        ]

    def __call__(self, number: int) -> str:
        kind, way = self.trials[number]
        self.note = f"{kind}: {way}"
        room = self.stages.room("asked", self.room)
        with serving(way, self.key(room)) as server:
            url = f"http://127.0.0.1:{server.server_port}"
            return KINDS.get(kind, Endless.store)(self, room, url, server)

    def key(self, room: Path) -> str:
        """By what the project of a room is known on a server."""
        with ProjectFolder.open(room / "flat") as project:
            server = tool_server(project, "http://localhost", Path("token"), None)
        assert server
        return server.key

    def words(self, room: Path, url: str) -> list[str]:
        token = room / "token"
        token.write_text(TOKEN)
        words = f"import {room}/flat --format label-studio --url {url} --token-file {token}"
        return words.split()

    def studio(self, room: Path, url: str, _: Server) -> str:
        with patch.object(label_studio_client, "SECONDS", MINUTE):
            return self.sentence(self.words(room, url), 6 * MINUTE + 10)

    def store(self, room: Path, url: str, _: Server) -> str:
        kind, _way = self.note.split(":", 1)
        address = f"{url}/a.jpg" if kind == "http" else f"{kind}://bucket/a/"
        changes = {
            PATIENCE: str(MINUTE),
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "STORAGE_EMULATOR_HOST": url,
            "GCE_METADATA_HOST": url.removeprefix("http://"),
            "LABELGRID_CACHE": str(room / "cache"),
        }
        with patch.dict(os.environ, changes):
            words = ["init", f"{room}/new", "--images", address, "--task", "depth"]
            return self.sentence(words, 6 * MINUTE + 10)

    def sentence(self, words: list[str], seconds: float) -> str:
        start = time.monotonic()
        result = typed(*words)
        took = time.monotonic() - start
        self.note += f" {took:.0f} s {result.err[-300:]}"
        if took > seconds:
            return "hang"
        return "refused" if result.code in (1, 2) and result.err.strip() else "wrong"

    def interrupted(self, room: Path, url: str, server: Server) -> str:
        words = self.words(room, url)
        with Started(sys.executable, "-m", "labelgrid", *words, stdout=DEVNULL) as process:
            assert server.asked.wait(50)
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            try:
                process.wait(AT_ONCE)
            except TimeoutExpired:
                return "hang"
            said = process.complaints
        self.note += said[-300:]
        return "refused" if process.returncode == 130 and "Traceback" not in said else "wrong"


KINDS: dict[str, Callable[[Endless, Path, str, Server], str]] = {
    "studio": Endless.studio,
    "Ctrl-C": Endless.interrupted,
}
