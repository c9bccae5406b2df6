"""A real Label Studio for tests: in an environment of its own, started with a copy of a migrated folder of data.

`./dev label-studio` makes the environment, then runs this module, which migrates the data once.
"""

import fcntl
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode

ENVIRONMENT = Path(__file__).parents[1] / ".venv-label-studio"
MIGRATED = ENVIRONMENT / "migrated"
USER = "ann@example.org"
PASSWORD = "secret-for-tests"
#: The legacy token of the user.
TOKEN = "0123456789abcdef0123456789abcdef01234567"
#: Seconds until a server answers: the first start migrates, on cores that others use, too.
START = 300
STOP = 30
_SETTINGS = {
    "LABEL_STUDIO_USERNAME": USER,
    "LABEL_STUDIO_PASSWORD": PASSWORD,
    "LABEL_STUDIO_USER_TOKEN": TOKEN,
    "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
    "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
    "LATEST_VERSION_CHECK": "false",
    "COLLECT_ANALYTICS": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "DEBUG": "false",
}


@dataclass(frozen=True)
class Server:
    """A running server, and the folder from which it may serve images."""

    url: str
    files: Path


def is_installed() -> bool:
    """Whether `./dev label-studio` has made the environment."""
    return (ENVIRONMENT / "stamp").is_file()


@contextmanager
def label_studio(folder: Path) -> Iterator[Server]:
    """Run a server without projects, whose data and files lie in a new folder."""
    _migrate()
    shutil.copytree(MIGRATED, folder / "data")
    with _running(folder) as server:
        yield server


def personal_token(server: Server) -> str:
    """A new personal access token of the user, as its page makes it."""
    cookies = CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
    login = f"{server.url}/user/login/"
    browser.open(login, timeout=60).close()
    form = {"email": USER, "password": PASSWORD, "csrfmiddlewaretoken": _csrf(cookies)}
    request = urllib.request.Request(login, urlencode(form).encode(), {"Referer": login})
    browser.open(request, timeout=60).close()
    headers = {"X-CSRFToken": _csrf(cookies), "Referer": login}
    request = urllib.request.Request(f"{server.url}/api/token/", b"", headers, method="POST")
    with browser.open(request, timeout=60) as answer:
        return str(json.load(answer)["token"])


def _csrf(cookies: CookieJar) -> str:
    return next(cookie.value or "" for cookie in cookies if cookie.name == "csrftoken")


def _migrate() -> None:
    """Make the folder of data that servers start with, if there is none."""
    with (ENVIRONMENT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if MIGRATED.is_dir():
            return
        making = ENVIRONMENT / "migrating"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        with _running(making):
            pass
        (making / "data").rename(MIGRATED)
        shutil.rmtree(making)


@contextmanager
def _running(folder: Path) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(f"http://127.0.0.1:{port}", folder / "files")
    server.files.mkdir()
    words = ["start", "--no-browser", "--internal-host", "127.0.0.1"]
    words += ["--port", str(port), "--log-level", "WARNING"]
    places = {
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder / "data"),
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(server.files),
    }
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [ENVIRONMENT / "bin" / "label-studio", *words],
            env=_environment() | _SETTINGS | places,
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait(server, process, folder / "log.txt")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment() -> dict[str, str]:
    """This environment without what is meant for Python here."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def _wait(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server answers."""
    end = time.monotonic() + START
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(f"{server.url}/health", timeout=10).close()
        except OSError:
            time.sleep(0.3)
        else:
            return
    said = log.read_text(errors="replace")[-3000:]
    raise RuntimeError(f"Label Studio does not answer; its exit code is {process.poll()}:\n{said}")


if __name__ == "__main__":
    _migrate()
