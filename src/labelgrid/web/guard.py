"""Lets only the user's own browser and programs in: checks of host, origin and token, and headers.

A web page of somebody else can make a browser send requests here. It is kept out by the host that
the browser was told (DNS rebinding), by the origin of requests that change something (CSRF), and by
the headers of each answer (frames, scripts, pictures).
"""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

#: The names of this machine that no other web site can have.
LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: The cookie that keeps the token.
COOKIE = "labelgrid-token"
#: The methods that change nothing.
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data: blob:; script-src 'self'; "
    "style-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
Answer = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Access:
    """Who may open the page.

    Args:
        token: what a browser or program must show; empty: nothing, but then only names of this
            machine are answered.
    """

    token: str = ""


class Guard:
    """Answers requests that are let in, and refuses all others; adds the headers.

    Args:
        app: answers them.
        access: who may ask.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._token = access.token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI describes it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                assert isinstance(headers, list)
                headers += [
                    (name.lower().encode(), text.encode()) for name, text in HEADERS.items()
                ]
            await send(message)

        refusal = self._refusal(Request(scope))
        answer: ASGIApp = refusal or self._app
        await answer(scope, receive, send_with_headers)  # type: ignore[arg-type]

    def _refusal(self, request: Request) -> Response | None:
        """The answer to a request that is not let in."""
        host = _host_name(request.headers.get("host", ""))
        if not self._token and host not in LOOPBACK:
            return _refuse(f"This page answers under the names {', '.join(LOOPBACK)} alone.", 421)
        if request.method not in SAFE_METHODS and not _is_own_origin(request):
            return _refuse("The request comes from another web site. Nothing was changed.", 403)
        if not self._token or self._shows_token(request):
            return None
        given = request.query_params.get("token", "")
        if request.method == "GET" and secrets.compare_digest(_bytes(given), _bytes(self._token)):
            return self._keep_token(request)
        return _refuse("Open the address that `labelgrid serve` printed: it holds the token.", 401)

    def _shows_token(self, request: Request) -> bool:
        """Whether the request holds the token, as a cookie or in its header."""
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        given = bearer if scheme.lower() == "bearer" else request.cookies.get(COOKIE, "")
        return secrets.compare_digest(_bytes(given), _bytes(self._token))

    def _keep_token(self, request: Request) -> Response:
        """Send the browser to the same address without the token, which it keeps as a cookie."""
        target = request.url.remove_query_params("token")
        place = target.path + (f"?{target.query}" if target.query else "")
        answer = RedirectResponse("/" + place.lstrip("/\\"), status_code=303)
        answer.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
        return answer


def _is_own_origin(request: Request) -> bool:
    """Whether a request that changes something comes from this page, or from no page at all."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _host_name(host: str) -> str:
    """The name in a Host header, without the port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _refuse(text: str, status: int) -> Response:
    return PlainTextResponse(text + "\n", status_code=status)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
