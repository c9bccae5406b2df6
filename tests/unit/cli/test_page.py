"""The command that shows a project in a browser."""

import re
import subprocess
import sys
import urllib.request

import pytest

from labelgrid.cli import page
from labelgrid.errors import UsageError
from tests.pages import labelled_project


def test_the_command_serves_until_it_is_stopped(tmp_path):
    folder = labelled_project(tmp_path, n=5)
    words = [sys.executable, "-m", "labelgrid", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        said = process.stdout.readline()
        address = re.match(r"http://127\.0\.0\.1:\d+/", said).group()
        with urllib.request.urlopen(address + "api/status") as answer:
            assert b'"images":5' in answer.read()
        process.terminate()
    assert process.returncode == 130


def test_missing_packages_are_named_with_what_installs_them(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "labelgrid.web.server", None)
    monkeypatch.delattr("labelgrid.web.server", raising=False)
    with pytest.raises(UsageError, match=r"(?s)not installed.*pip install 'labelgrid\[serve\]'"):
        page.serve(tmp_path)
