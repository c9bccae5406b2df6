"""Laws of the client of Label Studio, against small servers that answer as they are told."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from labelgrid.annotate import label_studio_client
from labelgrid.annotate.label_studio_client import Client, check_url, connect, read_token
from labelgrid.basics.errors import ServerError, UsageError

TOKEN = "0123456789abcdef0123456789abcdef01234567"
PERSONAL = "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJl"


@dataclass
class Told:
    """What a server answers, in turn, and what it was asked."""

    answers: list[tuple[int, bytes, dict[str, str]]] = field(default_factory=list)
    asked: list[tuple[str, str, str, bytes]] = field(default_factory=list)
    url: str = ""

    def says(self, *answers: Any, status: int = 200) -> "Told":
        for answer in answers:
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.answers.append((status, content, {}))
        return self

    def client(self, token: str = TOKEN) -> Client:
        return Client(self.url, token, pauses=(0.0, 0.0))


@pytest.fixture
def told() -> Iterator[Told]:
    told = Told()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            token = self.headers.get("Authorization", "")
            told.asked.append((self.command, self.path, token, body))
            status, content, headers = told.answers.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header(
                "Content-Length", str(len(content) + headers.get("cut", "").count("x"))
            )
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = answer

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}"
    yield told
    server.shutdown()
    server.server_close()
    thread.join()


def fault(call: Callable[[], object]) -> ServerError:
    with pytest.raises(ServerError) as caught:
        call()
    for secret in (TOKEN, PERSONAL, "an.access.token"):
        assert secret not in str(caught.value)
    return caught.value


def test_a_legacy_token_is_sent_as_it_is(told: Told) -> None:
    told.says({"a": 1})
    assert told.client().get("/api/x", {"page": 2, "query": {"b": ["ä"]}}) == {"a": 1}
    ((method, path, token, _),) = told.asked
    assert (method, token) == ("GET", f"Token {TOKEN}")
    assert path == "/api/x?page=2&query=%7B%22b%22%3A+%5B%22%5Cu00e4%22%5D%7D"


def test_a_personal_token_is_exchanged_once(told: Told) -> None:
    told.says({"access": "an.access.token"}, 1, 2)
    client = told.client(PERSONAL)
    assert (client.get("/a"), client.get("/b")) == (1, 2)
    assert [each[:3] for each in told.asked] == [
        ("POST", "/api/token/refresh/", ""),
        ("GET", "/a", "Bearer an.access.token"),
        ("GET", "/b", "Bearer an.access.token"),
    ]
    assert json.loads(told.asked[0][3]) == {"refresh": PERSONAL}


def test_a_personal_token_is_exchanged_again_after_some_minutes(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 200.0, 241.0, 241.0, 300.0])
    monkeypatch.setattr(label_studio_client.time, "monotonic", lambda: next(clock))
    told.says({"access": "a.b.c"}, 1, 2, {"access": "d.e.f"}, 3)
    client = told.client(PERSONAL)
    assert [client.get("/") for _ in range(3)] == [1, 2, 3]
    assert [each[2] for each in told.asked][-1] == "Bearer d.e.f"


def test_a_personal_token_is_exchanged_again_when_the_server_says_so(told: Told) -> None:
    told.says({"access": "a.b.c"}).says({"detail": "expired"}, status=401)
    told.says({"access": "d.e.f"}, 5)
    assert told.client(PERSONAL).send("POST", "/x", {"a": 1}) == 5
    assert [each[2] for each in told.asked] == ["", "Bearer a.b.c", "", "Bearer d.e.f"]


def test_a_refused_token_is_said_without_it(told: Told) -> None:
    told.says({"detail": f"Invalid token {TOKEN}."}, status=401)
    error = fault(lambda: told.client().get("/"))
    assert error.what == "The server does not accept the token (HTTP 401: Invalid token …)."
    assert "--token-file" in error.next_step


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_only_reads_is_asked_again_while_the_server_is_busy(told: Told, status: int) -> None:
    told.says(b"<html>", b"", status=status).says(7)
    assert told.client().get("/") == 7
    told.says(b"", b"", b"", status=status)
    assert fault(lambda: told.client().get("/")).status == status


def test_a_broken_connection_is_tried_again(told: Told) -> None:
    told.answers.append((200, b"[1", {"cut": "xxx"}))
    told.says(8)
    assert told.client().get("/") == 8


def test_what_changes_something_is_sent_once(told: Told) -> None:
    told.says(b"", status=503)
    assert fault(lambda: told.client().send("POST", "/x", [])).status == 503
    assert len(told.asked) == 1


def test_a_server_that_is_down_is_said(told: Told) -> None:
    client = Client("http://127.0.0.1:9", TOKEN, pauses=())
    error = fault(lambda: client.get("/"))
    assert error.what == "The server cannot be reached: [Errno 111] Connection refused."
    assert error.status == 0


def test_no_redirect_is_followed(told: Told) -> None:
    told.answers.append((302, b"", {"Location": f"{told.url}/other?{TOKEN}"}))
    error = fault(lambda: told.client().get("/"))
    assert error.what == "The server sends to another URL (HTTP 302)."
    assert error.next_step == f"Name that URL: {told.url}."
    assert len(told.asked) == 1


@pytest.mark.parametrize("answer", [b"<html>hello</html>", b"[" * 100_000, b"\xff", b'{"a": 1}'])
def test_another_program_is_no_label_studio_and_gets_no_token(
    told: Told, tmp_path: Path, answer: bytes
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    told.says(answer)
    error = fault(lambda: connect(told.url, tmp_path / "token"))
    assert error.what == "The server's answer is none of Label Studio."
    assert [each[2] for each in told.asked] == [""]


def test_a_server_without_that_page_is_no_label_studio(told: Told) -> None:
    told.says(b"", status=404)
    assert "none of Label Studio" in fault(told.client().version).what


@pytest.mark.parametrize(
    ("version", "is_known"),
    [
        ("1.22.9", False),
        ("0.9", False),
        ("0." + "9" * 100_000, False),
        ("1.23.0", True),
        ("2.0", True),
    ],
)
def test_versions_older_than_what_was_tried_are_refused(
    told: Told, version: str, is_known: bool
) -> None:
    told.says({"label-studio-os-package": {"version": version}})
    if is_known:
        assert told.client().version() == version
    else:
        assert f"is Label Studio {version:.40};" in fault(told.client().version).what


def test_an_answer_that_is_far_too_large_is_not_read(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_studio_client, "_LARGEST", 10)
    told.says(b'"' + b"a" * 100 + b'"')
    assert "has more than" in fault(lambda: told.client().send("POST", "/")).what


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (400, {"title": ["Too\nshort."]}, "The server refuses POST /x (HTTP 400: {'title': ["),
        (400, {"validation_errors": {"a": ["b"]}}, "(HTTP 400: {'a': ['b']})."),
        (403, {"detail": "No."}, "The token's user may not do this (HTTP 403: No)."),
        (404, {"detail": "Not found."}, "The server refuses POST /x (HTTP 404: Not found)."),
        (500, b"<html>" * 1000, "The server failed (HTTP 500)."),
    ],
)
def test_a_refusal_says_what_the_server_said(
    told: Told, status: int, said: Any, expected: str
) -> None:
    told.says(said, status=status)
    error = fault(lambda: told.client().send("POST", "/x?y=1", {}))
    assert expected in error.what
    assert len(error.what) < 400


def test_an_answer_without_what_is_expected_is_a_message(told: Told) -> None:
    client = told.client()

    def read() -> None:
        with client.understood():
            [][0]["id"]  # type: ignore[index]

    with pytest.raises(IndexError):
        read()
    told.says({"results": 3})

    def count() -> None:
        with client.understood():
            len(client.get("/")["results"])

    assert "none of Label Studio" in fault(count).what


def test_a_file_is_sent_as_a_form(told: Told) -> None:
    told.says({"file_upload_ids": [1]})
    told.client().upload("/import?a=b", "0a.jpg", b"\x00\r\n--x")
    ((_, path, _, body),) = told.asked
    assert path == "/import?a=b"
    assert b'name="file"; filename="0a.jpg"' in body
    assert b"\r\n\r\n\x00\r\n--x\r\n--" in body


@pytest.mark.parametrize(
    "url", ["http://localhost:8080", "https://a.org/studio/", "http://[::1]:1"]
)
def test_the_url_of_a_server_is_taken(url: str) -> None:
    assert check_url(url) == url.rstrip("/")


WRONG_URLS = (
    "localhost:8080",
    "file:///etc/passwd",
    "ftp://a",
    "http://",
    "http://ann:secret@a.org",
    "http://a.org/?x=1",
    "http://a.org/#x",
    "http://a b",
    "http://a\nb",
    "http://a:99999",
    "http://[",
    "",
)


@pytest.mark.parametrize("url", WRONG_URLS)
def test_a_url_of_no_server_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="The --url cannot be used") as caught:
        check_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("token", [TOKEN, PERSONAL])
def test_a_token_is_read_from_a_file(tmp_path: Path, token: str) -> None:
    (tmp_path / "t").write_text(f"{token}\n")
    assert read_token(tmp_path / "t") == token


WRONG_TOKENS: Sequence[bytes] = (
    b"",
    b"secret",
    TOKEN.upper().encode(),
    f"{TOKEN}\n{TOKEN}".encode(),
    f"{PERSONAL}\r\nX-Other: 1".encode(),
    b"\xff\xfe",
    b"a" * 2**15,
)


@pytest.mark.parametrize("content", WRONG_TOKENS)
def test_a_file_without_a_token_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_token(tmp_path / "t")
    message = str(caught.value)
    assert str(tmp_path / "t") in message
    assert not content or content[:20].decode(errors="replace") not in message


def test_a_missing_file_or_a_folder_is_no_token(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(UsageError, match="The token cannot be read"):
            read_token(path)
