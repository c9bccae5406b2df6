"""Lets only the user's own browser and programs in: checks of host, origin and token, and headers.

A web page of somebody else can make a browser send requests here. It is kept out by the host that
the browser was told (DNS rebinding), by the origin of requests that change something (CSRF), and by
the headers of each answer (frames, scripts, pictures). Other users of this machine can reach its
local addresses too; only the token keeps them out.
"""

import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: The cookie of a browser that showed the token; a port follows, since ports share their cookies.
COOKIE = "labelgrid-token"
#: A Host header: a name or an address, and a port.
HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::[0-9]{1,5})?", re.IGNORECASE)
#: The most bytes of a request.
MOST_BYTES = 64 * 2**20
#: The methods that change nothing.
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; script-src 'self'; "
    "style-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
#: The answer to who shows no token.
UNKNOWN = (
    "Open the address that `labelgrid serve` printed last: it holds the token. "
    "A program sends `Authorization: Bearer TOKEN`."
)
Answer = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Access:
    """Who may open the page.

    Args:
        token: the token that a browser or program must show; empty: none, but then only this
            machine's names are answered, to all its users.
    """

    token: str = ""


class Guard:
    """Answers requests of known browsers and programs, adds headers, and refuses all others.

    Args:
        app: answers them.
        access: who may ask.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._token = access.token
        #: What the cookie holds: it ends with this process, and tells nobody the token.
        self._session = secrets.token_urlsafe(24)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI describes it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # a WebSocket: nothing here speaks it
        request = Request(scope)

        async def send_with_headers(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                assert isinstance(headers, list)
                present = {name.lower() for name, _ in headers}
                for name, text in HEADERS.items():
                    if name.lower().encode() not in present:
                        headers.append((name.lower().encode(), text.encode()))
            await send(message)

        answer: ASGIApp = self._refusal(request) or self._app
        await answer(scope, _limited(receive), send_with_headers)  # type: ignore[arg-type]

    def _refusal(self, request: Request) -> Response | None:
        host = HOST.fullmatch(request.headers.get("host", ""))
        if not self._token and not (host and is_loopback(host[1] or host[2])):
            return _refuse("This page answers under localhost and 127.0.0.1 alone.", 421)
        if request.method not in SAFE_METHODS and not _is_own_origin(request):
            return _refuse("The request comes from another web site. Nothing was changed.", 403)
        if not self._token:
            return None
        if request.method == "GET" and _is_equal(
            request.query_params.get("token", ""), self._token
        ):
            return self._keep_token(request)
        if self._shows_token(request):
            return None
        return _refuse(UNKNOWN, 401, {"WWW-Authenticate": "Bearer"})

    def _shows_token(self, request: Request) -> bool:
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return _is_equal(bearer, self._token)
        return _is_equal(request.cookies.get(_cookie(request), ""), self._session)

    def _keep_token(self, request: Request) -> Response:
        """Send the browser to the same address without the token, with a cookie in its place."""
        target = request.url.remove_query_params("token")
        address = target.path + (f"?{target.query}" if target.query else "")
        answer = RedirectResponse(local_address(address), status_code=303)
        answer.set_cookie(_cookie(request), self._session, httponly=True, samesite="strict")
        return answer


def _is_equal(given: str, secret: str) -> bool:
    """Compare texts in a time that tells nothing of the secret."""
    return secrets.compare_digest(given.encode("utf-8", "surrogateescape"), secret.encode())


def _is_own_origin(request: Request) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    host = request.headers.get("host", "")
    return request.headers.get("origin") in (None, f"http://{host}", f"https://{host}")


def is_loopback(host: str) -> bool:
    """Whether a name or address belongs to this machine alone.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("LOCALHOST"), is_loopback("192.168.0.7")
        (True, True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def local_address(address: str) -> str:
    """An address of this page, never of another site.

    Example:
        >>> local_address("//evil.example/a"), local_address("/grid?page=2")
        ('/evil.example/a', '/grid?page=2')
    """
    return "/" + address.lstrip("/\\")


def _cookie(request: Request) -> str:
    return f"{COOKIE}-{request.url.port or 80}"


def _limited(receive: Receive) -> Receive:
    received = 0

    async def receive_part() -> Message:
        nonlocal received
        part = await receive()
        received += len(part.get("body", b""))
        if received > MOST_BYTES:
            raise HTTPException(413, f"A request has at most {MOST_BYTES // 2**20} MB.")
        return part

    return receive_part


def _refuse(text: str, status: int, headers: dict[str, str] | None = None) -> Response:
    return PlainTextResponse(text + "\n", status_code=status, headers=headers)
