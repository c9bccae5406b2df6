"""The same campaign with its ledger in a file and in PostgreSQL: the same answers, picks and reports."""

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import postgres
from tests.e2e.commands import answer, done, refused, task_words, typed
from tests.started import Started
from tests.support import Made

QUERY = ("--budget", 9, "--unit", "cost", "--no-prelabels")


def campaign(folder: Path, made: Made, *ledger: str) -> list[Any]:
    """All that a campaign's commands say, and its picks; times and the folder left out."""
    flat = folder / "flat"
    said: list[Any] = []

    def told(*words: object) -> None:
        values = json.loads(done(*words, "--json").out)
        text = json.dumps(values).replace(str(folder), "FOLDER")
        said.append((words[0], re.sub(r"\d{4}-\d\d-\d\dT[\d:+]+", "TIME", text)))

    told(
        *("init", flat, "--images", made.images, *task_words(made), "--holdout", 2),
        *("--strategy", "joint", *ledger),
    )
    told("status", flat)
    told("query", flat, *QUERY)
    said.append((flat / "rounds/0001/picks.json").read_text())
    told("export", flat, "--out", folder / "request")
    answer(folder / "request", made)
    told("import", flat, folder / "request")
    told("undo", flat)
    told("import", flat, folder / "request")
    told("query", flat, *QUERY)
    said.append((flat / "rounds/0002/picks.json").read_text())
    for command in ("cells", "log", "verify"):
        told(command, flat)
    told("unlabel", flat, f"{made.names[-1]}:depth")
    told("remove", flat, made.names[-2])
    told("status", flat)
    done("report", flat, "--out", folder / "report.html")
    page = (folder / "report.html").read_text()
    said.append(re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME", page.replace(str(folder), "FOLDER")))
    return said


def test_a_campaign_says_and_picks_the_same_on_both_databases(
    made: Callable[..., Made], tmp_path: Path
) -> None:
    data = made(n=8)
    (data.root / "classes.txt").write_text("wall\nfloor\nbox\nball\n")
    found = []
    url = str(postgres.server().place())
    for name, ledger in (("file", ()), ("server", ("--ledger", url))):
        (tmp_path / name).mkdir()
        found.append(campaign(tmp_path / name, data, *ledger))
    assert len(found[0]) == len(found[1])
    for there, here in zip(found[1], found[0], strict=True):
        assert there == here
    server = tmp_path / "server" / "flat"
    assert not list(server.glob("labelgrid.db*"))
    assert f'ledger = "{url}"' in (server / "labelgrid.toml").read_text()
    before = json.loads(done("status", server, "--json").out)
    done("ledger", "copy", server, "labelgrid.db")
    assert json.loads(done("status", server, "--json").out) == before
    copied = json.loads(done("ledger", "copy", server, url, "--json").out)
    assert copied["rows"] > 20 and copied["target"] == url
    assert json.loads(done("status", server, "--json").out) == before


def test_a_url_with_a_password_is_refused_and_the_password_is_not_repeated(
    made: Callable[..., Made], tmp_path: Path
) -> None:
    data = made(n=3)
    url = "postgresql+psycopg://ann:secret-word@db.lab/labels"
    words = ("--images", data.images, "--task", "depth", "--ledger", url)
    said = refused(tmp_path, "init", tmp_path / "flat", *words)
    assert "holds a password" in said and "secret" not in said


def test_an_init_that_fails_or_is_killed_leaves_no_ledger(
    made: Callable[..., Made], tmp_path: Path
) -> None:
    data = made(n=3)
    url = str(postgres.server().place())
    words = ("init", tmp_path / "flat", "--images", data.images, "--task", "depth")
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "labelgrid.toml").write_text("")
    assert typed(*words, "--ledger", url).code == 1
    (tmp_path / "flat" / "labelgrid.toml").unlink()
    with Started(sys.executable, "-m", "labelgrid", *words, "--ledger", url) as process:
        query = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'labelgrid'"
        while not postgres.server().run(query):
            assert not process.has_ended(), process.last_words()
            time.sleep(0.01)
    assert typed(*words, "--ledger", url).code == 0
