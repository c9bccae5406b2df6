"""Runs `labelgrid` commands and other Python files in forks of a process that has loaded the libraries.

A command spends most of its time on loading torch and timm; a fork has them. labelgrid itself is
loaded by each command, through the script that users start.
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
SCRIPT = Path(sys.executable).parent / "labelgrid"
#: In place of the script; the script itself where other modules may be meant.
COMMAND = """#!/bin/sh
[ "$PYTHONPATH" = {path} ] || exec {script} "$@"
exec {python} -IS {client} {script} "$@"
"""
#: In place of Python, for `FILE ARGUMENTS` and `-c CODE`.
PYTHON = """#!/bin/sh
exec {python} -IS {client} "$@"
"""
CLIENT = """
import json, os, socket, sys

server = socket.socket(socket.AF_UNIX)
server.connect(sys.path_to_server)
socket.send_fds(server, [b" "], [0, 1, 2])
server.sendall(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode())
server.shutdown(socket.SHUT_WR)
sys.exit(int(server.recv(8)))
"""


@cache
def folder() -> Path:
    """Start the process, and return a folder with a `labelgrid` and a `python` that run in its forks."""
    place = Path(tempfile.mkdtemp())
    address = str(place / "socket")
    words = {
        "path": os.environ.get("PYTHONPATH", ""),
        "script": str(SCRIPT),
        "python": sys.executable,
        "client": str(place / "client.py"),
    }
    (place / "client.py").write_text(CLIENT.replace("sys.path_to_server", repr(address)))
    quoted = {name: shlex.quote(text) for name, text in words.items()}
    for name, text in (("labelgrid", COMMAND), ("python", PYTHON)):
        command = place / name
        command.write_text(text.format(**quoted))
        command.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, __file__, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    atexit.register(_end, server, place)
    assert server.stdout and server.stdout.readline() == b"ready\n"
    return place


def _end(server: subprocess.Popen[bytes], place: Path) -> None:
    server.communicate()
    shutil.rmtree(place)


def serve(address: str) -> None:
    """Run a command in a fork for each request, until the standard input ends."""
    gc.disable()
    for library in LIBRARIES:
        importlib.import_module(library)
    assert "labelgrid" not in sys.modules
    gc.freeze()  # forks look for no garbage among the libraries
    gc.enable()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            request, _ = listener.accept()
            if not os.fork():
                answer(request)
            request.close()
            with suppress(ChildProcessError):  # so that commands that have ended are gone
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def answer(request: socket.socket) -> NoReturn:
    """Run the command of a request in a fork of this fork, and send its exit status."""
    _, streams, *_ = socket.recv_fds(request, 1, 3)
    words, place, environment = json.loads(request.makefile("rb").read())
    if child := os.fork():
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        request.sendall(str(status if status >= 0 else 128 - status).encode())
        os._exit(0)
    request.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(place)
    os.environ.clear()
    os.environ.update(environment)
    added = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:1] = [str(Path(words[0]).resolve().parent), *(path for path in added if path)]
    sys.argv = ["-c", *words[2:]] if words[0] == "-c" else words
    status = 0
    try:
        if words[0] == "-c":
            exec(words[1], {"__name__": "__main__"})
        else:
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        status = int(end.code or 0)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(status)  # without taking torch apart, which would copy the memory of all of it


if __name__ == "__main__":
    serve(sys.argv[1])
