"""Runs `labelgrid` commands and other Python files in forks of a process that has loaded what takes long.

A command spends most of its time on loading torch, timm and labelgrid; a fork has them. Where
`LOADS_LABELGRID` is set, a fork has the libraries only, and each command loads of labelgrid what it
needs, as those of users do. All run through the script that users start.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NoReturn

from tests.forked_servers import fork_servers
from tests.loaded_commands import load_commands

#: What takes long to load. Mitsuba and PyArrow start threads, which do not survive a fork.
LIBRARIES = (
    "alembic.command",
    "cv2",
    "jinja2",
    "lightning_fabric",
    "matplotlib.figure",
    "pydantic",
    "rich.console",
    "safetensors.torch",
    "scipy.stats",
    "sqlalchemy.orm",
    "timm",
    "torch",
    "torchvision",
    "typer",
)
#: The environment variable that lets commands load labelgrid themselves.
LOADS_LABELGRID = "LOADS_LABELGRID"
SCRIPT = Path(sys.executable).parent / "labelgrid"
#: In place of the script; the script itself where other modules may be meant.
COMMAND = """#!/bin/sh
[ "$PYTHONPATH" = {path} ] || exec {script} "$@"
exec {python} -IS {client} {script} "$@"
"""
#: In place of Python, for `FILE ARGUMENTS`, `-c CODE` and `-m MODULE`.
PYTHON = """#!/bin/sh
exec {python} -IS {client} "$@"
"""
CLIENT = """
import json, os, socket, sys

loaded = "libraries" if "LOADS_LABELGRID" in os.environ else "labelgrid_too"
server = socket.socket(socket.AF_UNIX)
server.connect(os.path.join(os.path.dirname(__file__), loaded))
socket.send_fds(server, [b" "], [0, 1, 2])
server.sendall(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode())
server.shutdown(socket.SHUT_WR)
sys.exit(int(server.recv(8) or sys.exit("the process with what is loaded has ended")))
"""


@cache
def folder() -> Path:
    """Start the process, and return a folder with a `labelgrid` and a `python` that run in its forks."""
    place = Path(tempfile.mkdtemp())
    words = {
        "path": os.environ.get("PYTHONPATH", ""),
        "script": str(SCRIPT),
        "python": sys.executable,
        "client": str(place / "client.py"),
    }
    (place / "client.py").write_text(CLIENT)
    quoted = {name: shlex.quote(text) for name, text in words.items()}
    for name, text in (("labelgrid", COMMAND), ("python", PYTHON)):
        command = place / name
        command.write_text(text.format(**quoted))
        command.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.docs.preloaded", str(place)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    atexit.register(_end, server, place)
    assert server.stdout and server.stdout.readline() == b"ready\n"
    return place


def _end(server: subprocess.Popen[bytes], place: Path) -> None:
    server.communicate()
    shutil.rmtree(place)


def load_and_serve(place: Path) -> None:
    """Answer requests at two sockets: with the libraries loaded, and in a fork with labelgrid as well."""
    first, second = (_listener(place / name) for name in ("libraries", "labelgrid_too"))
    print("ready", flush=True)
    gc.disable()
    for library in LIBRARIES:
        importlib.import_module(library)
    assert "labelgrid" not in sys.modules
    other = os.fork()
    if other:
        second.close()
        serve(first)
        os.waitpid(other, 0)
    else:
        first.close()
        load_commands()
        serve(second)
    os._exit(0)  # without taking torch apart


def _listener(address: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(address))
    listener.listen()
    return listener


def serve(listener: socket.socket) -> None:
    """Run a command in a fork for each request, until the standard input ends."""
    gc.freeze()  # forks look for no garbage among what is loaded
    gc.enable()
    # pidfd -> the process of a command, and the socket of its client
    running: dict[int, tuple[int, socket.socket]] = {}
    while True:
        ready = select.select([listener, sys.stdin, *running], [], [])[0]
        if sys.stdin in ready:
            return
        for ended in running.keys() & set(ready):
            tell_status(*running.pop(ended))
            os.close(ended)
        if listener in ready:
            request, _ = listener.accept()
            process = os.fork()
            if not process:
                answer(request)
            running[os.pidfd_open(process)] = process, request


def tell_status(process: int, request: socket.socket) -> None:
    """Send the exit status of a command that has ended."""
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    with request, suppress(BrokenPipeError):  # who waited may have been killed
        request.sendall(str(status if status >= 0 else 128 - status).encode())


def answer(request: socket.socket) -> NoReturn:
    """Run the command of a request in this process, a fork, and end it."""
    _, streams, *_ = socket.recv_fds(request, 1, 3)
    words, place, environment = json.loads(request.makefile("rb").read())
    request.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(place)
    os.environ.clear()
    os.environ.update(environment)
    added = environment.get("PYTHONPATH", "").split(os.pathsep)
    first = place if words[0] in ("-c", "-m") else str(Path(words[0]).resolve().parent)
    sys.path[:1] = [first, *(path for path in added if path)]
    fork_servers()
    status = 0
    try:
        run_main(words)
    except SystemExit as end:
        status = int(end.code or 0)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(status)  # without taking torch apart, which would copy the memory of all of it


def run_main(words: list[str]) -> None:
    """Run code, a module or a file as Python does, with its arguments."""
    if words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        exec(words[1], {"__name__": "__main__"})
    elif words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    load_and_serve(Path(sys.argv[1]))
