"""Speaks with a Label Studio server: URL, token, retries, sizes and errors."""

import json
import re
import secrets
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from labelgrid.basics import files
from labelgrid.basics.errors import ServerError, UsageError
from labelgrid.basics.type_names import Values

#: The oldest version of Label Studio that this was tried with.
OLDEST = (1, 23)
#: Seconds that the server has for an answer; and bytes a second at which it takes what is sent and
#: sends the rest of its answer, at least.
SECONDS = 60.0
LEAST_RATE = 10_000
#: Bytes of an answer, at most: twenty tasks with many regions of noise have less.
_LARGEST = 2**27
_BLOCK = 2**20
#: Lists and objects in an answer, at most: each takes some hundred bytes of memory.
_MOST_PARTS = 2_000_000
#: Bytes of a file with a token, at most.
_LARGEST_TOKEN = 2**14
#: Seconds for which an access token is used; the server takes it for 300 seconds.
_ACCESS_LASTS = 240.0
#: Statuses of a server, or of the proxy before it, that is busy.
_BUSY = frozenset({429, 502, 503, 504})
#: Characters of the server's own words in a message, at most.
_MOST_WORDS = 300
_LEGACY_TOKEN = re.compile(r"[0-9a-f]{40}")
_PERSONAL_TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_NUMBER = re.compile(r"\d{1,9}")
AGAIN = "Run the same command again: what is there already is not sent twice."


@dataclass(frozen=True, kw_only=True)
class _Call:
    """One request to the server."""

    method: str
    path: str
    body: bytes | None = None
    content_type: str = "application/json"
    open_to_all: bool = False


def connect(url: str, token_file: Path) -> "Client":
    """The client of a server; the server gets the token after proving to be Label Studio.

    Raises:
        UsageError: the URL or the file of the token is wrong.
        ServerError: as `Client.version`.
    """
    client = Client(url, read_token(token_file))
    client.version()
    return client


class _Watched(HTTPConnection):
    """A connection whose server must begin its answer within some seconds."""

    def getresponse(self) -> HTTPResponse:
        """As in `HTTPConnection`.

        Raises:
            TimeoutError: the server did not send the head of its answer in time.
        """
        connection = self.sock
        late = threading.Event()
        assert connection
        assert self.timeout

        def end() -> None:
            late.set()
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

        watch = threading.Timer(self.timeout, end)
        watch.start()
        try:
            return super().getresponse()
        except (OSError, HTTPException):
            if late.is_set():
                raise TimeoutError(f"it did not answer in {self.timeout:.0f} s") from None
            raise
        finally:
            watch.cancel()


class _WatchedSafely(_Watched, HTTPSConnection):
    """The same over TLS."""


class _Watching(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    """Opens the connections that are watched."""

    def http_open(self, request: urllib.request.Request) -> HTTPResponse:
        """As in `HTTPHandler`."""
        return self.do_open(_Watched, request)

    def https_open(self, request: urllib.request.Request) -> HTTPResponse:
        """As in `HTTPSHandler`."""
        return self.do_open(_WatchedSafely, request, context=ssl.create_default_context())


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, which would hand the token to any server."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Refuse."""


class Client:
    """The client of a Label Studio server, with the token of a user.

    A personal access token is exchanged for a token of some minutes, whenever needed. Requests that
    only read are repeated when the server is busy or the connection breaks.

    Args:
        url: the server's URL; see `check_url`.
        token: a personal access token, or a legacy token; see `read_token`.
        pauses: seconds before each repetition.

    Raises:
        UsageError: the URL is none of a server.
    """

    def __init__(self, url: str, token: str, pauses: tuple[float, ...] = (1.0, 4.0)) -> None:
        self.url = check_url(url)
        self._token = token
        self._pauses = pauses
        self._access = ""
        self._access_since = 0.0
        self._opener = urllib.request.build_opener(_NoRedirects, _Watching)

    def version(self) -> str:
        """The version of the server's Label Studio. No token is sent.

        Raises:
            ServerError: it cannot be reached, is another program, or too old.
        """
        try:
            answer = self._json(_Call(method="GET", path="/api/version", open_to_all=True))
        except ServerError as error:
            if error.status != 404:
                raise
            answer = None
        package = answer.get("label-studio-os-package") if isinstance(answer, dict) else None
        version = package.get("version") if isinstance(package, dict) else None
        if not isinstance(version, str):
            raise self.wrong_answer()
        if tuple(map(int, _NUMBER.findall(version)[:2])) < OLDEST:
            raise ServerError(
                f"The server is Label Studio {version:.40}; labelgrid needs "
                f"{'.'.join(map(str, OLDEST))} or newer.",
                where=self.url,
                next_step="Update it, or exchange files: leave out --url.",
            )
        return version

    def get(self, path: str, query: Values | None = None) -> Any:
        """Read something; values of the query that are no texts or numbers are sent as JSON.

        Raises:
            ServerError: as all methods: the server cannot be reached, or refuses.
        """
        return self._json(_Call(method="GET", path=path + _query(query)))

    def send(self, method: str, path: str, body: Any = None, query: Values | None = None) -> Any:
        """Change something by POST, PATCH or DELETE: once, whatever happens."""
        text = None if body is None else json.dumps(body).encode()
        return self._json(_Call(method=method, path=path + _query(query), body=text))

    def upload(self, path: str, name: str, content: bytes) -> Any:
        """Send a file; its name must need no quotes."""
        boundary = secrets.token_hex(16)
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        body = b"".join([head.encode(), content, f"\r\n--{boundary}--\r\n".encode()])
        kind = f"multipart/form-data; boundary={boundary}"
        return self._json(_Call(method="POST", path=path, body=body, content_type=kind))

    def download(self, path: str) -> bytes:
        """Read a file of the server's."""
        return self._repeated(_Call(method="GET", path=path))

    def _json(self, call: _Call) -> Any:
        content = self._repeated(call)
        if not content:
            return None
        if content.count(b"[") + content.count(b"{") > _MOST_PARTS:
            raise self.wrong_answer()
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise self.wrong_answer() from None

    def wrong_answer(self) -> ServerError:
        """The error of an answer that Label Studio does not give."""
        return ServerError(
            "The server's answer is none of Label Studio.",
            where=self.url,
            next_step="Check the URL: it is the one of Label Studio's first page.",
        )

    @contextmanager
    def understood(self) -> Iterator[None]:
        """Turn the errors of answers without what Label Studio's have into a message."""
        try:
            yield
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise self.wrong_answer() from error

    def _repeated(self, call: _Call) -> bytes:
        """The content of an answer; a call that only reads is tried again, for `SECONDS`."""
        end = time.perf_counter() + SECONDS
        pauses = self._pauses if call.method == "GET" else ()
        for pause in pauses:
            try:
                return self._authorized(call)
            except ServerError as error:
                if (error.status and error.status not in _BUSY) or time.perf_counter() > end:
                    raise
            time.sleep(pause)
        return self._authorized(call)

    def _authorized(self, call: _Call) -> bytes:
        """The content of an answer; an access token that ended early is renewed once."""
        if call.open_to_all:
            return self._once(call, {})
        header = self._authorization()
        try:
            return self._once(call, header)
        except ServerError as error:
            if error.status != 401 or not self._access:
                raise
        self._access = ""
        return self._once(call, self._authorization())

    def _authorization(self) -> dict[str, str]:
        if _LEGACY_TOKEN.fullmatch(self._token):
            return {"Authorization": f"Token {self._token}"}
        if not self._access or time.monotonic() - self._access_since > _ACCESS_LASTS:
            body = json.dumps({"refresh": self._token}).encode()
            since = time.monotonic()
            content = self._once(_Call(method="POST", path="/api/token/refresh/", body=body), {})
            try:
                access = json.loads(content)["access"]
            except (ValueError, RecursionError, KeyError, TypeError):
                access = None
            if not (isinstance(access, str) and _PERSONAL_TOKEN.fullmatch(access)):
                raise self.wrong_answer()
            self._access = access
            self._access_since = since
        return {"Authorization": f"Bearer {self._access}"}

    def _once(self, call: _Call, header: Mapping[str, str]) -> bytes:
        headers = {"Accept": "application/json, */*", **header}
        if call.body is not None:
            headers["Content-Type"] = call.content_type
        request = urllib.request.Request(
            self.url + call.path, data=call.body, headers=headers, method=call.method
        )
        seconds = SECONDS + len(call.body or b"") / LEAST_RATE
        try:
            with self._opener.open(request, timeout=seconds) as response:
                return self._bounded(response)
        except urllib.error.HTTPError as error:
            raise self._refusal(call, error) from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise ServerError(
                f"The server cannot be reached: {_plain(reason)}.",
                where=self.url,
                next_step=f"Check the URL, and that Label Studio runs there. {AGAIN}",
            ) from None

    def _bounded(self, response: HTTPResponse) -> bytes:
        blocks = []
        left = _LARGEST
        start = time.perf_counter()
        while block := response.read1(_BLOCK):
            left -= len(block)
            seconds = time.perf_counter() - start
            if seconds > SECONDS and _LARGEST - left < seconds * LEAST_RATE:
                raise TimeoutError(f"it sent {_LARGEST - left:,} bytes in {seconds:.0f} s")
            if left < 0:
                raise ServerError(
                    f"The server's answer has more than {_LARGEST >> 20} MiB.",
                    where=self.url,
                    next_step="Export the tasks in Label Studio, and import that file.",
                )
            blocks.append(block)
        if response.length:
            raise HTTPException("its answer ended early")
        return b"".join(blocks)

    def _refusal(self, call: _Call, error: urllib.error.HTTPError) -> ServerError:
        with error:
            try:
                said = _words(error.read1(_BLOCK))
            except (OSError, HTTPException):
                said = ""
        for secret in filter(None, (self._token, self._access)):
            said = said.replace(secret, "…")
        summary, next_step = _MEANINGS.get(error.code, ("", ""))
        if 300 <= error.code < 400:
            location = urlsplit(error.headers.get("Location", ""))
            summary = "The server sends to another URL"
            next_step = f"Name that URL: {location.scheme}://{location.netloc}."
        path = call.path.partition("?")[0]
        summary = summary or f"The server refuses {call.method} {path}"
        details = f"HTTP {error.code}" + (f": {said}" if said else "")
        return ServerError(
            f"{summary} ({details}).", where=self.url, next_step=next_step, status=error.code
        )


_MEANINGS = {
    401: (
        "The server does not accept the token",
        "Make a new one in Label Studio, under Account & Settings, and put it alone into the file "
        "of --token-file. Legacy tokens are accepted only where the organization allows them.",
    ),
    403: ("The token's user may not do this", "Use the token of a user who may."),
    500: ("The server failed", f"Its log says why. {AGAIN}"),
    **dict.fromkeys(_BUSY, ("The server is busy or starting", AGAIN)),
}


def check_url(url: str) -> str:
    """The URL of a server, without a slash at its end.

    Raises:
        UsageError: it is not of HTTP, names no host, or holds a password, a query or a blank.

    Example:
        >>> check_url("http://localhost:8080/")
        'http://localhost:8080'
    """
    try:
        parts = urlsplit(url)
        wrong = parts.port == 0
    except ValueError:
        raise _wrong_url("it is none") from None
    if "@" in parts.netloc:
        raise _wrong_url("it holds a name or password")
    if parts.scheme not in ("http", "https") or not parts.hostname or wrong:
        raise _wrong_url("it does not begin with http:// or https:// and a host")
    if parts.query or parts.fragment or not re.fullmatch(r"[!-~]+", url):
        raise _wrong_url("it holds more than a host and a path")
    return url.rstrip("/")


def _wrong_url(why: str) -> UsageError:
    return UsageError(
        f"The --url cannot be used: {why}.", next_step="Write, for example, http://localhost:8080."
    )


def read_token(path: Path) -> str:
    """Read the token of a user from a file that holds nothing else.

    Raises:
        UsageError: the file cannot be read, or holds no token. What it holds is not shown.
    """
    try:
        token = files.read_bytes(path, _LARGEST_TOKEN).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise _wrong_token(path, f"The token cannot be read: {reason}.") from None
    if not (_LEGACY_TOKEN.fullmatch(token) or _PERSONAL_TOKEN.fullmatch(token)):
        raise _wrong_token(path, "The file holds no token of Label Studio alone.")
    return token


def _wrong_token(path: Path, message: str) -> UsageError:
    return UsageError(
        message,
        where=path,
        next_step="Copy a personal access token from Label Studio's Account & Settings into it.",
    )


def _query(values: Values | None) -> str:
    """A query string.

    Example:
        >>> _query({"page": 2, "query": {"ordering": []}})
        '?page=2&query=%7B%22ordering%22%3A+%5B%5D%7D'
    """
    if not values:
        return ""
    texts = {}
    for name, value in values.items():
        texts[name] = json.dumps(value) if isinstance(value, (dict, list)) else value
    return "?" + urlencode(texts)


def _words(content: bytes) -> str:
    """The words of an error's answer as one line; nothing of a page of HTML."""
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    if isinstance(said, dict):
        said = said.get("validation_errors") or said.get("detail") or said
    return _plain(said)


def _plain(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    return " ".join(text.split())[:_MOST_WORDS].rstrip(".")
