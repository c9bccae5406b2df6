"""Serving: where it listens, what it says, and what it refuses before it starts."""

import re
import socket

import pytest

from labelgrid.errors import ProjectError, UsageError
from labelgrid.web import guard, server
from tests.pages import labelled_project


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return labelled_project(tmp_path_factory.mktemp("server"), n=5)


def test_a_taken_port_is_told_before_anything_else(folder):
    said = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"port {port}: Address already in use"):
            server.serve(folder, port=port, say=said.append)
    assert not said


def test_a_folder_without_a_project_is_refused(tmp_path):
    with pytest.raises(ProjectError):
        server.serve(tmp_path)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("127.0.0.5", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.7", False),
        ("lab.example", False),
    ],
)
def test_only_addresses_of_this_machine_need_no_token(host, loopback):
    assert guard.is_loopback(host) == loopback


@pytest.mark.parametrize(
    ("host", "token", "fault"), [("", "", "--host is empty"), ("127.0.0.1", "a b?", "--token has")]
)
def test_what_no_browser_could_open_is_refused(folder, host, token, fault):
    with pytest.raises(UsageError, match=fault):
        server.serve(folder, host=host, token=token)


def test_other_machines_need_a_token_which_the_address_holds(folder, monkeypatch):
    served = []
    monkeypatch.setattr(server.uvicorn.Server, "run", lambda self, sockets: served.append(self))
    said = []
    server.serve(folder, host="0.0.0.0", port=0, say=said.append)
    server.serve(folder, host="127.0.0.1", port=0, say=said.append)
    server.serve(folder, host="127.0.0.1", port=0, token="mine", say=said.append)
    tokens = [re.search(r"token=(\S+)", line) for line in said]
    assert len(tokens[0].group(1)) >= 32 and tokens[1] is None and tokens[2].group(1) == "mine"
    assert [app.config.app._token for app in served] == [tokens[0].group(1), "", "mine"]
