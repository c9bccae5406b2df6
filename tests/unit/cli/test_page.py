"""The command that shows a project in a browser."""

import re
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.jobs import wait_until
from tests.pages import labelled_project
from tests.started import Started


def test_the_command_serves_until_it_is_stopped(tmp_path):
    folder = labelled_project(tmp_path, n=5)
    words = [sys.executable, "-m", "labelgrid", "serve", str(folder), "--port", "0"]
    with Started(*words) as process:
        said = process.next_line()
        link = re.match(r"(http://127\.0\.0\.1:\d+/)\?token=(\S+) ", said)
        address, token = link.groups()
        with pytest.raises(HTTPError, match="401"):
            urlopen(address + "api/status")
        request = Request(address + "api/status", headers={"Authorization": f"Bearer {token}"})
        with urlopen(request) as answer:
            assert b'"images":5' in answer.read()
        command = Path(f"/proc/{process.pid}/cmdline").read_text()
        assert str(folder) in command and token not in command
        process.terminate()
        wait_until(process.has_ended, by=process)
        assert process.returncode == 130, process.last_words()
