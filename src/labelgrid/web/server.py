"""Serves the page of a project to holders of a token until Ctrl-C."""

import os
import re
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from labelgrid.basics.errors import UsageError
from labelgrid.basics.files import open_regular
from labelgrid.basics.processes import PAGE_TOKEN
from labelgrid.project.folder import ProjectFolder, is_study
from labelgrid.web.app import build_app
from labelgrid.web.guard import Access, Guard, is_loopback

#: Seconds that open requests get when the server is stopped.
PATIENCE = 3
#: Bytes of a file with a token, at most.
LARGEST_TOKEN = 1000
#: The addresses that listen on all networks of this machine.
ALL_NETWORKS = ("0.0.0.0", "::")
#: What is said of a page without a token.
OPEN = (
    "Every user and program of this machine can see its images and labels, change them, and start "
    "jobs as you: --no-token asks nobody for a token."
)


@dataclass(frozen=True)
class PageToken:
    """The token that lets a browser or program in.

    Args:
        text: the token; empty: all users of this machine are let in.
        query: the token as a query of the printed address; empty if the user chose the token.
        words: where the user finds it.
    """

    text: str = ""
    query: str = ""
    words: str = ""


def serve(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: Path | None = None,
    no_token: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Show a project in a browser, until Ctrl-C.

    A browser or program must show a token: the token in `token_file`, else in the environment's
    `LABELGRID_TOKEN`, else a new token, which is a part of the printed address.

    Args:
        folder: the project's folder.
        host: the address to listen on. Other machines reach the page under any but this machine's
            own, such as 0.0.0.0.
        port: the port to listen on; 0: any free one.
        token_file: a file of the user's own with the token; where there is none, a new one is
            written.
        no_token: let all users of this machine in.
        say: receives the address to open.

    Raises:
        UsageError: nothing can listen there, or the token is none that keeps others out.
        LabelgridError: there is no project.
    """
    _check(host, token_file, no_token)
    token = PageToken() if no_token else find_token(token_file)
    app = build_app(folder, Access(token=token.text))
    with _listening(host, port) as listener:
        address = _address(host, listener.getsockname()[1])
        say(f"{address}{token.query} shows {folder}{token.words}. Ctrl-C stops.")
        if no_token:
            say(OPEN)
        if not is_study(folder):
            with ProjectFolder.open(folder, looking=True) as project:
                note = project.copy_note()
            if note:
                say(note)
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


def find_token(file: Path | None) -> PageToken:
    """The token of a page from a file or the environment, or a new token.

    The variable is removed from the environment, so that jobs started by the page do not get the
    token.

    Raises:
        UsageError: the token is too weak.
    """
    given = os.environ.pop(PAGE_TOKEN, None)
    if file is not None:
        return PageToken(_token_in(file), "?token=TOKEN", f", where TOKEN is what {file} holds")
    if given is None:
        new = secrets.token_urlsafe(24)
        return PageToken(new, f"?token={new}")
    _check_token(given, where=f"the environment's {PAGE_TOKEN}")
    return PageToken(given, "?token=TOKEN", f", where TOKEN is that of {PAGE_TOKEN}")


def _token_in(file: Path) -> str:
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read_token(file)
    except OSError as error:
        raise UsageError(
            f"The token cannot be written: {error.strerror}.",
            where=str(file),
            next_step="Name a --token-file in a folder of your own.",
        ) from error
    text = secrets.token_urlsafe(24)
    with os.fdopen(handle, "w") as new:
        new.write(f"{text}\n")
    return text


def _read_token(file: Path) -> str:
    try:
        with open_regular(file, LARGEST_TOKEN) as opened:
            status = os.fstat(opened.fileno())
            text = opened.read().decode("ascii", "replace").strip()
    except OSError as error:
        raise UsageError(
            f"The token cannot be read: {error.strerror}.",
            where=str(file),
            next_step="Name a --token-file that is not there yet, to get a new one.",
        ) from error
    if status.st_uid != os.geteuid():
        raise UsageError(
            "The token's file belongs to another user, who can read it.",
            where=str(file),
            next_step="Name a --token-file of your own.",
        )
    if status.st_mode & 0o077:
        raise UsageError(
            f"Others may read or write the token's file: its mode is {status.st_mode & 0o777:o}.",
            where=str(file),
            next_step="Remove it to get a new one, since they may know the token by now.",
        )
    _check_token(text, where=str(file))
    return text


def _check_token(text: str, where: str) -> None:
    """Refuse, without showing it, a token easy to guess or unfit for an address."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{16,200}", text):
        raise UsageError(
            "The token is not 16 to 200 letters, digits, _ and -.",
            where=where,
            next_step="Name a --token-file that is not there yet, to get a new one.",
        )


def _check(host: str, token_file: Path | None, no_token: bool) -> None:
    if not host:
        raise UsageError("The --host is empty.", next_step="0.0.0.0 listens on all networks.")
    if no_token and token_file:
        raise UsageError(
            "--no-token and --token-file contradict each other.", next_step="Take one of them."
        )
    if no_token and not is_loopback(host):
        raise UsageError(
            f"With --no-token and --host {host}, whoever reaches this machine could change the "
            "project and start jobs as you.",
            next_step="Leave --no-token out; the address that is printed then holds a token.",
        )


def _listening(host: str, port: int) -> socket.socket:
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


def _address(host: str, port: int) -> str:
    """The address of the page for a browser."""
    name = socket.gethostname() if host in ALL_NETWORKS else host
    shown = f"[{name}]" if ":" in name else name
    return f"http://{shown}:{port}/"
