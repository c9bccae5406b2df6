"""Serves the page of a project until it is stopped."""

import re
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from labelgrid.errors import UsageError
from labelgrid.web.app import build_app
from labelgrid.web.guard import Access, Guard, is_loopback

#: Seconds that open requests get when the server is stopped.
PATIENCE = 3


def serve(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str = "",
    say: Callable[[str], None] = print,
) -> None:
    """Show a project in a browser, until Ctrl-C.

    Args:
        folder: the project's folder.
        host: the address to listen on. Other machines reach the page under any but this machine's
            own, such as 0.0.0.0; then a browser must show a token.
        port: the port to listen on; 0: any free one.
        token: the token; empty: a new one, if there must be one.
        say: receives the address to open.

    Raises:
        UsageError: nothing can listen there.
        LabelgridError: there is no project.
    """
    _check(host, token)
    if not token and not is_loopback(host):
        token = secrets.token_urlsafe(24)
    app = build_app(folder, Access(token=token))
    with _listening(host, port) as listener:
        say(f"{_address(host, listener.getsockname()[1], token)} shows {folder}. Ctrl-C stops.")
        server_of(app).run(sockets=[listener])


def server_of(app: Guard, patience: int = PATIENCE) -> uvicorn.Server:
    """The server of a page.

    Args:
        app: the page.
        patience: the seconds that open requests get when it is stopped.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=patience,
    )
    return uvicorn.Server(config)


def _check(host: str, token: str) -> None:
    """Refuse what no browser could open."""
    if not host:
        raise UsageError("The --host is empty.", next_step="0.0.0.0 listens on all networks.")
    if not re.fullmatch(r"[A-Za-z0-9_-]*", token):
        raise UsageError(
            "The --token has characters that an address cannot hold.",
            next_step="Take letters, digits, _ and - alone, or leave it out to get a new one.",
        )


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens; so a taken port is told before anything else is said."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise UsageError(
            f"Nothing can listen on {host}, port {port}: {error.strerror or error}.",
            next_step="Take another --port; 0 takes any free one.",
        ) from error
    return listener


def _address(host: str, port: int, token: str) -> str:
    """What to open in a browser."""
    name = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
    shown = f"[{name}]" if ":" in name else name
    return f"http://{shown}:{port}/" + (f"?token={token}" if token else "")
