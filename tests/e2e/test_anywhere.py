"""A campaign with its ledger in PostgreSQL, its images in a bucket and its scores from Ray, beside the local one."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import postgres
from tests.e2e.commands import answer, done, task_words
from tests.object_store import Store, need_object_store, object_store
from tests.projects import RECIPE
from tests.ray_clusters import need_ray
from tests.support import Made

ROUNDS = 2


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An S3 server, an empty cache, and the environment of its user."""
    need_object_store()
    need_ray()
    (tmp_path / "server").mkdir()
    with object_store(tmp_path / "server") as running:
        for name, text in running.environment.items():
            monkeypatch.setenv(name, text)
        monkeypatch.setenv("LABELGRID_CACHE", str(tmp_path / "cache"))
        yield running


def campaign(
    folder: Path, made: Made, images: object, *, ledger: tuple[str, ...], on: str
) -> dict[str, Any]:
    """What a campaign of two rounds picks, learns and reports; without times and places."""
    folder.mkdir()
    (folder / "tiny.toml").write_text(RECIPE)
    flat = folder / "flat"
    done(
        *("init", flat, "--images", images, *task_words(made), "--holdout", 2, "--seed", 0),
        *("--strategy", "partal", "--recipe", folder / "tiny.toml", *ledger),
    )
    found: dict[str, Any] = {}
    for number in range(1, ROUNDS + 1):
        request = folder / f"request-{number}"
        if number > 1:
            done("score", flat, "--on", on, "--workers", 2, "--shard", 8)
        done("query", flat, "--budget", 2, "--unit", "images")
        done("export", flat, "--out", request)
        answer(request, made)
        done("import", flat, request)
        done("fit", flat)
        found[f"picks {number}"] = (flat / f"rounds/{number:04d}/picks.json").read_text()
    status = json.loads(done("status", flat, "--json").out)
    found["status"] = {name: status[name] for name in ("images", "tasks", "heldout", "rounds")}
    done("report", flat, "--out", folder / "report.html")
    found["report"] = _without_places((folder / "report.html").read_text(), folder, images)
    return found


def _without_places(page: str, folder: Path, images: object) -> str:
    """A report without folders, addresses and times."""
    for place in (folder, images):
        page = page.replace(str(place), "PLACE")
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d|\b\d+(\.\d+)? (s|min)\b", "TIME", page)


@pytest.mark.timeout(900)
def test_a_campaign_on_servers_and_a_cluster_reports_what_the_local_one_does(
    made: Callable[..., Made], store: Store, tmp_path: Path
) -> None:
    data = made(n=10)
    (data.root / "classes.txt").write_text("wall\nfloor\nbox\nball\n")
    address = store.put_folder(data.images, "same/photos")
    here = campaign(tmp_path / "here", data, data.images, ledger=(), on="processes")
    url = str(postgres.server().place())
    # A cluster of its own: its workers have the credentials of this test.
    there = campaign(tmp_path / "there", data, address, ledger=("--ledger", url), on="ray")
    assert "PLACE" in here["report"] and '"score": ' in here["picks 2"]
    for what, value in here.items():
        assert there[what] == value, what
