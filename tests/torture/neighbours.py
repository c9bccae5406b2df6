"""Another user of this machine asks the page of a project: he reads, takes labels back, and starts jobs.

He knows where it listens, and all that the system shows him of its process and files; he does not
know the token. Where the tests are root's, he is another user indeed.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from labelgrid import Project
from tests.started import Started
from tests.torture.counting import Row
from tests.torture.projects import Stages

#: Ends the rights of root, looks at what SEEN shows, and sends each request; CELL is a labelled one.
NEIGHBOUR = r"""
import json, os, re, socket, sys
work = json.load(sys.stdin)
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
found = []
for path in work["seen"]:
    try:
        found.append(open(path, "rb").read())
    except OSError:
        pass
words = [word.decode() for word in re.findall(rb"[A-Za-z0-9_-]{16,200}", b"\n".join(found))]
ends = []
for request in work["requests"]:
    for word in (words or ["nothing"]) if "SEEN" in request else [""]:
        with socket.socket() as to:
            to.settimeout(60)
            to.connect(("127.0.0.1", work["port"]))
            to.sendall(request.replace("SEEN", word).encode("utf-8", "surrogateescape"))
            answer = b"".join(iter(lambda: to.recv(65536), b""))
        ends.append([request, int((answer.split(b" ", 2) + [b"0"])[1] or 0)])
json.dump({"ends": ends, "words": words}, sys.stdout)
"""
#: What he does: a method, a path, and a body of JSON. CELL is a labelled cell, IMAGE its image.
DEEDS = (
    ("GET", "/", ""),
    ("GET", "/grid", ""),
    ("GET", "/api/status", ""),
    ("GET", "/api/images", ""),
    ("GET", "/api/history?cell=CELL", ""),
    ("GET", "/api/openapi.json", ""),
    ("GET", "/picture/label?image=IMAGE&task=depth", ""),
    ("POST", "/api/cells/unlabel", '{"cells": ["CELL"]}'),
    ("POST", "/api/undo", '{"operation": 1}'),
    ("POST", "/api/images/hold-out", '{"images": ["IMAGE"]}'),
    ("POST", "/api/jobs", '{"command": "export"}'),
    ("POST", "/api/jobs", '{"command": "fit"}'),
)
#: What he shows: lines of the head, and what follows the path.
SHOWN = (
    ("", ""),
    ("Authorization: Bearer", ""),
    ("Authorization: Bearer ", ""),
    ("Authorization: Bearer null", ""),
    ("Authorization: Basic dG9rZW46", ""),
    ("Authorization: Bearer SEEN", ""),
    ("Authorization: Bearer \udcff\udcfe", ""),
    ("Cookie: labelgrid-token-PORT=", ""),
    ("Cookie: labelgrid-token-PORT=SEEN", ""),
    ("Cookie: labelgrid-token=; labelgrid-token-PORT; labelgrid-token-80=x", ""),
    ("", "token="),
    ("", "token=null&token="),
    ("", "token=SEEN"),
    ("", "token=%00"),
    ("Origin: http://127.0.0.1:PORT\r\nSec-Fetch-Site: same-origin", ""),
    ("Sec-Fetch-Site: none\r\nReferer: http://127.0.0.1:PORT/?token=x", ""),
    ("X-Forwarded-For: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\nX-Real-IP: 127.0.0.1", ""),
    ("X-HTTP-Method-Override: GET\r\nX-Original-URL: /static/page.css", ""),
)
#: How he writes the request's line.
LINES = (
    "METHOD PATH HTTP/1.1\r\nHost: 127.0.0.1:PORT",
    "METHOD PATH HTTP/1.0",
    "METHOD http://localhost:PORTPATH HTTP/1.1\r\nHost: localhost",
)
#: How the token reaches the server: it is printed, or written into a file, or in the environment.
GIVEN = ("printed", "file", "variable")


@dataclass(frozen=True)
class Served:
    """A page that is served by the command, and what its owner alone knows."""

    port: int
    process: int
    token: str
    file: Path


def loopback_neighbours(stages: Stages, count: int) -> Row:
    """Let him try `count` times, at pages whose tokens were given in each way."""
    row = Row("loopback neighbours")
    for number, given in enumerate(GIVEN):
        share = len(range(number, count, len(GIVEN)))
        if share:
            with tempfile.TemporaryDirectory() as place:  # one that he may enter
                Path(place).chmod(0o755)
                flat = stages.room("imported", Path(place, "room")) / "flat"
                _attack(row, flat, given, share)
    return row


def _attack(row: Row, flat: Path, given: str, count: int) -> None:
    cell = _labelled(flat)
    before = _state(flat)
    with _served(flat, given) as served:
        requests = list(_requests(cell, served.port))
        every = max(1, len(requests) // count)
        ends = _neighbour(served, requests[::every][:count])
        for request, status in ends:
            row.count(*outcome_of(status, f"{given}: {request!r}"))
        row.count(*_unchanged(flat, before, given))
        for deed in DEEDS[2], DEEDS[7]:  # else a page that answers nobody would be in order
            request = _request(deed, LINES[0], f"Authorization: Bearer {served.token}", "")
            ((_, status),) = _neighbour(served, [_filled(request, cell, served.port)])
            row.count("right" if status == 200 else "wrong", f"the owner: {status}: {request!r}")


def outcome_of(status: int, note: str) -> tuple[str, str]:
    """How a request of somebody else ended: any answer but a refusal lets him in."""
    refused = 400 <= status < 500
    return "refused" if refused else "wrong" if status else "hang", f"{status}: {note}"


def _unchanged(flat: Path, before: Any, given: str) -> tuple[str, str]:
    """Whether nothing was taken back and no job was started."""
    return "right" if _state(flat) == before else "lost", f"{given}: the project was changed"


def _state(flat: Path) -> tuple[Any, list[str]]:
    with Project.open(flat) as project:
        return project.cells(), sorted(path.name for path in flat.glob("jobs/*"))


def _labelled(flat: Path) -> str:
    with Project.open(flat) as project:
        rows = project.cells(state="labelled", task="depth")
    return next(f"{row['image']}:depth" for row in rows if row["split"] == "train")


def _requests(cell: str, port: int) -> Iterator[str]:
    """Every deed, in every line, with all that he may show."""
    for head, query in SHOWN:
        for line in LINES:
            for deed in DEEDS:
                yield _filled(_request(deed, line, head, query), cell, port)


def _request(deed: tuple[str, str, str], line: str, head: str, query: str) -> str:
    method, path, body = deed
    path += ("&" if "?" in path else "?") + query if query else ""
    lines = [line.replace("METHOD", method).replace("PATH", path), "Connection: close"]
    lines += [head] if head else []
    lines += ["Content-Type: application/json", "Content-Length: LENGTH"] if body else []
    return "\r\n".join([*lines, "", body])


def _filled(request: str, cell: str, port: int) -> str:
    head, _, body = request.partition("\r\n\r\n")
    image = cell.partition(":")[0]
    body = body.replace("CELL", cell).replace("IMAGE", image)
    head = head.replace("CELL", cell).replace("IMAGE", image).replace("PORT", str(port))
    return head.replace("LENGTH", str(len(body))) + "\r\n\r\n" + body


def _neighbour(served: Served, requests: list[str]) -> list[tuple[str, int]]:
    """Send requests as another user; those with SEEN once for each word that he has found."""
    seen = [f"/proc/{served.process}/{name}" for name in ("cmdline", "environ")]
    seen += [str(served.file), *_links(served)]
    work = {"port": served.port, "requests": requests, "seen": seen if _is_root() else seen[:1]}
    done = subprocess.run(
        [sys.executable, "-I", "-c", NEIGHBOUR],
        input=json.dumps(work),
        capture_output=True,
        check=False,
        text=True,
    )
    assert not done.returncode, done.stderr
    return [(request, status) for request, status in json.loads(done.stdout)["ends"]]


def _links(served: Served) -> list[str]:
    """The files that the server has open, as the system names them."""
    return [f"/proc/{served.process}/fd/{number}" for number in range(3, 20)]


@cache
def _is_root() -> bool:
    return os.geteuid() == 0


@contextmanager
def _served(flat: Path, given: str) -> Iterator[Served]:
    """The command as its owner types it."""
    file = flat.parent / "token"
    words = [sys.executable, "-m", "labelgrid", "serve", str(flat), "--port", "0"]
    words += ["--token-file", str(file)] if given == "file" else []
    own = {"LABELGRID_TOKEN": "a-token-of-the-environment"} if given == "variable" else {}
    environment = {key: text for key, text in os.environ.items() if key != "LABELGRID_TOKEN"} | own
    with Started(*words, env=environment) as process:
        link = process.next_line().split()[0]
        token = own.get("LABELGRID_TOKEN") or link.partition("token=")[2]
        token = file.read_text().strip() if given == "file" else token
        port = int(link.split(":")[2].split("/")[0])
        yield Served(port, process.pid, token, file)
