"""Serving: where it listens, what it says, and what it refuses before it starts."""

import os
import re
import socket
import stat
from pathlib import Path
from unittest.mock import patch

import pytest

from labelgrid.basics.errors import ProjectError, UsageError
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
def test_addresses_of_this_machine_are_known(host, loopback):
    assert guard.is_loopback(host) == loopback


@pytest.fixture
def started(monkeypatch):
    """The tokens of the pages that were served, which end at once."""
    monkeypatch.delenv(server.PAGE_TOKEN, raising=False)
    tokens = []

    def run(self, sockets):
        tokens.append(self.config.app._token)

    monkeypatch.setattr(server.uvicorn.Server, "run", run)
    return tokens


def served(folder, **options):
    """What is said to who serves a page."""
    said = []
    server.serve(folder, port=0, say=said.append, **options)
    return "\n".join(said)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_every_page_has_a_new_token_which_the_address_holds(folder, started, host):
    links = [re.search(r"token=(\S+)", served(folder, host=host)).group(1) for _ in range(2)]
    assert links == started
    assert links[0] != links[1] and len(links[0]) >= 32


def test_a_file_gives_the_token_and_is_written_where_there_is_none(folder, started, tmp_path):
    place = tmp_path / "token"
    said = [served(folder, token_file=place) for _ in range(2)]
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    token = place.read_text().strip()
    assert len(token) >= 32 and started == [token, token]
    assert said[0].startswith("http://127.0.0.1:") and str(place) in said[0]
    assert token not in "".join(said)


def test_a_variable_gives_the_token_and_a_file_goes_before_it(
    folder, started, tmp_path, monkeypatch
):
    monkeypatch.setenv(server.PAGE_TOKEN, "of-the-environment")
    said = served(folder)
    assert server.PAGE_TOKEN not in os.environ  # jobs of the page are not told
    monkeypatch.setenv(server.PAGE_TOKEN, "of-the-environment")
    served(folder, token_file=tmp_path / "token")
    assert started == ["of-the-environment", (tmp_path / "token").read_text().strip()]
    assert "LABELGRID_TOKEN" in said and "of-the-environment" not in said


def test_a_page_without_a_token_says_who_can_open_it(folder, started):
    said = served(folder, no_token=True)
    assert started == [""] and "token=" not in said
    assert "Every user and program of this machine" in said


@pytest.mark.parametrize(
    ("mode", "text", "fault"),
    [
        (0o644, "a-token-that-is-long", "Others may read or write"),
        (0o620, "a-token-that-is-long", "Others may read or write"),
        (0o600, "short", "16 to 200"),
        (0o600, "", "16 to 200"),
        (0o600, "two-tokens-in-one\nof-them-in-two-lines", "16 to 200"),
        (0o600, "a token with spaces", "16 to 200"),
        (0o600, "x" * 2**20, "cannot be read"),
    ],
)
def test_a_file_that_keeps_no_secret_is_refused(folder, started, tmp_path, mode, text, fault):
    place = tmp_path / "token"
    place.write_text(text)
    place.chmod(mode)
    with pytest.raises(UsageError, match=fault) as refused:
        served(folder, token_file=place)
    assert not started and place.read_text() == text
    assert not text or text not in str(refused.value)


def test_a_file_of_another_user_is_refused(folder, started, tmp_path):
    place = tmp_path / "token"
    place.write_text("a-token-that-is-long")
    place.chmod(0o600)
    another = patch.object(server.os, "geteuid", lambda: place.stat().st_uid + 1)
    with another, pytest.raises(UsageError, match="another user"):
        served(folder, token_file=place)
    assert not started


def test_a_folder_or_a_link_to_nothing_is_no_file_of_a_token(folder, started, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    for place in (tmp_path, tmp_path / "link", tmp_path / "none" / "token"):
        with pytest.raises(UsageError, match=r"cannot be (read|written)"):
            served(folder, token_file=place)
    assert not started and not (tmp_path / "nothing").exists()


def test_a_wrong_token_of_the_environment_is_refused_and_not_shown(folder, started, monkeypatch):
    for token in ("", "abc", "a b c d e f g h i j", "?token=evil&more=more"):
        monkeypatch.setenv(server.PAGE_TOKEN, token)
        with pytest.raises(UsageError, match="LABELGRID_TOKEN") as refused:
            served(folder)
        assert not token or token not in str(refused.value)
    assert not started


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"host": ""}, "--host is empty"),
        ({"host": "0.0.0.0", "no_token": True}, "--no-token"),
        ({"token_file": Path("token"), "no_token": True}, "--no-token"),
    ],
)
def test_what_contradicts_itself_is_refused(folder, started, options, fault):
    with pytest.raises(UsageError, match=fault):
        served(folder, **options)
    assert not started
