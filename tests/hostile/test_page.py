"""Over 600 hostile requests of the page: each is refused or harmless, none changes, runs or reads anything else."""

import itertools
import json
import shutil
import struct
import zlib
from urllib.parse import quote

import pytest

from labelgrid import Project
from labelgrid.project.folder import ProjectFolder
from labelgrid.web.guard import Access
from tests.campaigns import snapshot
from tests.pages import cell_in, client_of, labelled_project

SECRET = "not for the page"
SCRIPT = "<script>alert(1)</script>"
HOSTS = (
    *(
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil-localhost",
    ),
    *(
        "127.0.0.1@evil.example",
        "evil.example#127.0.0.1",
        "127.0.0.1:80:80",
        "0.0.0.0",
        "[::]",
        "[::1",
        "10.0.0.1",
        "",
    ),
)
ORIGINS = (
    *(
        "https://evil.example",
        "null",
        "",
        "http://",
        "http://[",
        "file://",
        "http://127.0.0.1",
        "http://127.0.0.1:8000.evil.example",
    ),
    *(
        "http://127.0.0.1:8000@evil.example",
        "https://127.0.0.1:9000",
        "HTTP://127.0.0.1:8000/",
        "http://localhost:8000",
    ),
)
NAMES = (
    *(
        "../secret.txt",
        "../../secret.txt",
        "..\\secret.txt",
        "/etc/passwd",
        "file:///etc/passwd",
        "....//secret.txt",
    ),
    *(
        "%2e%2e%2fsecret.txt",
        "..%00/secret.txt",
        "secret.txt\x00.jpg",
        "\ud800",
        "a" * 5000,
        "",
        ".",
        "..",
        "~",
        "C:\\x",
        "\r\nSet-Cookie: a=b",
    ),
    *(
        SCRIPT,
        "'\"><img src=x onerror=alert(1)>",
        "javascript:alert(1)",
        "{{ 7 * 7 }}",
        "' OR 1=1 --",
        "x'; DROP TABLE cells; --",
        "%",
        "_",
    ),
)
PATHS = (
    *(
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2f..%2fpage.py",
        "/static//etc/passwd",
        "/static/%00",
        "//evil.example",
    ),
    *(
        "/../secret.txt",
        "/labelgrid.db",
        "/.git/config",
        "/api/../labelgrid.toml",
        "/docs",
        "/redoc",
        "/api/docs",
        "/" + "a" * 9000,
    ),
    *(
        "/grid?page=0",
        "/grid?page=-1",
        "/grid?page=1e9",
        "/grid?page=" + "9" * 400,
        "/grid?round=-1",
        "/grid?round=" + "9" * 5000,
    ),
    *(
        "/grid?round=٣٣",
        "/grid?state=__class__",
        "/grid?split=train'--",
        "/grid?order=../../x",
        "/grid?order=__init__",
        "/grid?done=-1",
    ),
    *(
        "/grid?done=NaN",
        "/api/history",
        "/api/history?cell=",
        "/api/history?cell=:",
        "/api/images?page=inf",
    ),
)
BODIES = (
    *(b"", b"{", b"null", b"[]", b"7", b'"x"', b"\xff\xfe", b"{}" * 1000, b"[" * 100_000, b'{"cells": NaN}', b'{"cells": [NaN]}'),
    *(b'{"cells": [1e999]}', b'{"cells": ["\\ud800"]}', b'{"cells": [null]}', b'{"cells": {"0": "x"}}', b'{"cells": [""]}', b'{"cells": [":"]}'),
    *(b'{"cells": ["x"], "seen": {"x": "y"}}', b'{"cells": ["x"], "seen": {"x": 1e400}}', b'{"cells": ["a:depth"], "seen": {"a:depth": -9}}'),
    *(b'{"cells": [' + b'"x",' * 20_000 + b'"x"]}', b'{"cells": ["' + b"x" * 2**20 + b'"]}', b'{"cells": ["x"], "why": 7}', b'{"__proto__": {"cells": []}}'),
)  # fmt: skip
FILE_NAMES = (
    "../../labelgrid.toml",
    "/etc/cron.d/x.png",
    "a.png\x00.exe",
    "a.svg",
    "a.php",
    "." * 300,
    "a." + "p" * 255,
    "a.npz",
    "a.exr",
    "a.png",
)
CONTENTS = (
    *(
        b"",
        b"x",
        b"\x89PNG\r\n\x1a\n" + b"\x00" * 99,
        b"PK\x03\x04" + b"\xff" * 99,
        b"GIF89a" + b"\xff" * 40,
        b"\x80\x04cposix\nsystem\n",
    ),
    *(
        SCRIPT.encode(),
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"v/1\x01" + b"\x00" * 99,
        b"\x93NUMPY\x01\x00v\x00{'descr': '|O'}",
    ),
)
ORDERS = (
    *(
        {},
        {"command": "rm"},
        {"command": "init"},
        {"command": "serve"},
        {"command": "fit; rm -rf /"},
        {"command": "../fit"},
        {"command": None},
    ),
    *(
        {"command": "fit", "epochs": "--trust x"},
        {"command": "fit", "epochs": -1},
        {"command": "fit", "weights": "/etc/passwd"},
    ),
    *(
        {"command": "fit", "changes": {"network.name": "evil:build"}},
        {"command": "fit", "changes": {"--trust": 1}},
    ),
    *(
        {"command": "query", "budget": "nan"},
        {"command": "query", "budget": -5},
        {"command": "query", "budget": 5, "unit": "--new"},
    ),
    *(
        {"command": "import", "round": "../../x"},
        {"command": "import", "round": 9999},
        {"command": "import", "path": "/etc"},
    ),
    *(
        {"command": "audit", "folds": 10**9},
        {"command": "report", "out": "/tmp/x"},
        {"command": "export", "to": "label-studio"},
    ),
)
METHODS = ("PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "PROPFIND")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A project beside a secret, one of whose photographs has a script as its name."""
    place = tmp_path_factory.mktemp("hostile")
    folder = labelled_project(place, n=6)
    (place / "secret.txt").write_text(SECRET)
    strange = place / "strange"
    strange.mkdir()
    photograph = next((place / "made" / "images").iterdir())
    shutil.copyfile(photograph, strange / "a<img src=x onerror=alert(1)>'\".jpg")
    with Project.open(folder) as project:
        project.add(strange)
    return folder


def contents(folder):
    with ProjectFolder.open(folder) as project:
        return snapshot(project)


@pytest.fixture
def client(folder):
    """A client of a project of which nothing changes."""
    before = contents(folder)
    with client_of(folder) as client:
        yield client
    assert contents(folder) == before


def check(answer, *, refused=True):
    """Check an answer: refused or harmless, without a secret, a script or a header of the request's."""
    assert answer.status_code < 500 and (answer.status_code >= 400 or not refused), answer.text
    assert SECRET not in answer.text and "root:" not in answer.text
    assert "set-cookie" not in answer.headers
    if answer.headers.get("content-type", "").startswith("text/html"):
        assert (
            SCRIPT not in answer.text
            and "<img src=x" not in answer.text
            and "49" not in answer.text.split()
        )
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_hosts_and_origins_of_others_are_refused(client, folder):
    body = {"cells": [cell_in(folder, "labelled")]}
    for host in HOSTS:
        check(client.get("/api/status", headers={"Host": host}))
        check(client.post("/api/cells/unlabel", json=body, headers={"Host": host}))
    for origin in ORIGINS:
        check(client.post("/api/cells/unlabel", json=body, headers={"Origin": origin}))
        form = {"cell": body["cells"]}
        check(client.post("/api/form/unlabel", data=form, headers={"Origin": origin}))


def test_names_reach_no_file_and_run_nothing(client):
    for name in NAMES:
        text = name.encode("utf-8", "surrogatepass")
        for path in ("/image", "/picture/image"):
            check(client.get(path, params={"image": text}))
        for picture in ("label", "values", "regions", "uncertainty"):
            check(client.get(f"/picture/{picture}", params={"image": text, "task": text}))
        check(client.get("/brush", params={"cell": text + b":semseg"}))
        check(client.get("/api/history", params={"cell": text + b":depth"}))
        check(client.get("/grid", params={"name": text}), refused=False)
        check(client.get("/grid", params={"task": text}), refused=bool(name))
        check(client.post("/api/form/unlabel", data={"cell": text, "back": text}))
        check(client.post("/api/images/hold-out", content=json.dumps({"images": [name]})))


@pytest.mark.parametrize("key", ["name", "task", "by", "shows", "order"])
def test_a_text_of_sixty_thousand_characters_is_no_fault_of_the_database(client, key):
    check(client.get("/grid", params={key: "a" * 60_000}), refused=False)


def test_what_is_handed_in_under_a_strange_name_reaches_no_file(client, folder):
    cell = cell_in(folder, "labelled", "semseg")
    image, _, task = cell.rpartition(":")
    for name in NAMES:
        text = name.encode("utf-8", "replace").decode()
        file = {"file": (text or "x", SCRIPT.encode())}
        check(client.post("/api/labels", data={"cell": cell, "back": text}, files=file))
        check(client.post("/api/labels", data={"cell": text}, files=file))
        check(client.post("/api/drawings", data={"cell": text}, files={"drawing": ("x", b"x")}))
        check(client.post("/api/notes", data={"cell": f"{text}:depth", "text": text}))
        check(client.post("/api/predictions", data={"image": text, "back": text}))
        words = {"image": image, "task": task, "layer": text.encode()}
        for picture in ("label", "values", "regions"):
            check(client.get(f"/picture/{picture}", params=words), refused=bool(name))


@pytest.mark.parametrize("side", [60_000, 2**31 - 1])
def test_a_label_that_claims_to_be_huge_is_refused_unread(client, folder, side):
    head = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    file = {"file": ("a.png", b"\x89PNG\r\n\x1a\n" + chunk)}
    check(
        client.post("/api/labels", data={"cell": cell_in(folder, "labelled", "semseg")}, files=file)
    )


def test_strange_addresses_and_methods_do_nothing(client):
    for path in PATHS:
        check(client.get(path), refused=not path.startswith(("//evil", "/grid?round=٣")))
    for method, path in itertools.product(METHODS, ("/", "/api/cells/unlabel", "/picture/image")):
        check(client.request(method, path), refused=False)


@pytest.mark.parametrize(
    "kind",
    ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"],
)
def test_damaged_bodies_do_nothing(client, kind):
    for body in BODIES:
        for path in (
            "/api/cells/unlabel",
            "/api/cells/request",
            "/api/images/hold-out",
            "/api/form/unlabel",
            "/api/labels",
            "/api/drawings",
            "/api/notes",
            "/api/predictions",
        ):
            check(client.post(path, content=body, headers={"Content-Type": kind}))


def test_giant_and_lying_files_are_refused_and_not_kept(client, folder):
    cell = cell_in(folder, "requested")
    for name, content in itertools.product(FILE_NAMES, CONTENTS):
        upload = {"file": (name, content, "image/png")}
        check(client.post("/api/labels", data={"cell": cell}, files=upload))
        check(client.post("/api/labels", data={"cell": cell}, files={"drawing": upload["file"]}))
        check(client.post("/api/jobs/import", files={"file": (name + ".exe", content)}))
    large = {"file": ("a.png", b"\x89PNG" + bytes(51 * 2**20))}
    check(client.post("/api/labels", data={"cell": cell}, files=large))


def test_orders_that_are_none_start_nothing(client, folder):
    for order in ORDERS:
        check(client.post("/api/jobs", json=order))
        command = quote(str(order.get("command", "")), safe="")
        form = {key: str(value) for key, value in order.items() if key != "command"}
        check(client.post(f"/api/job-form/start/{command}", data=form or {"epochs": "x"}))
    for number in ("0", "-1", "9" * 30, "..%2f..%2f1", "1e3"):
        check(client.get(f"/jobs/{number}"))
        check(client.get(f"/api/jobs/{number}"))
        check(client.post(f"/api/jobs/{number}/stop"))
    assert not list((folder / "jobs").glob("*"))


def test_wrong_tokens_are_refused(folder):
    before = contents(folder)
    with client_of(folder, Access(token="right")) as client:
        for wrong in ("", "wrong", "right ", "Right", "r" * 9000, "\xe4", "null", "undefined"):
            check(client.get("/api/status", params={"token": wrong}))
            check(client.get("/", headers={"Authorization": f"Bearer {wrong}".encode()}))
            check(client.get("/", headers={"Authorization": wrong.encode()}))
            check(client.post("/api/cells/unlabel?token=right", json={"cells": [wrong]}))
    assert contents(folder) == before


def test_a_name_that_holds_a_script_is_shown_as_text(client):
    page = client.get("/grid")
    assert "onerror=alert(1)" in page.text and "<img src=x" not in page.text
    check(page, refused=False)
