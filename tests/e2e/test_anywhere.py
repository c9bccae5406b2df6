"""A campaign with its ledger in PostgreSQL, its images in a bucket and its scores from Ray, beside the local one.

examples/campaign_anywhere.py runs both, and compares what came of them.
"""

import runpy
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import postgres
from tests.e2e.commands import status
from tests.object_store import BUCKET, Store, need_object_store, object_store
from tests.ray_clusters import need_ray
from tests.support import Made

EXAMPLES = Path(__file__).parents[2] / "examples"
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


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the example defines."""
    monkeypatch.syspath_prepend(EXAMPLES)
    return runpy.run_path(str(EXAMPLES / "campaign_anywhere.py"))


def words(data: Made, out: Path, **more: object) -> list[str]:
    """The words of the example's command for a small campaign."""
    given = {
        "data": "folder",
        "root": data.root,
        "classes": data.root / "classes.txt",
        "recipe": data.root / "tiny.toml",
        "out": out,
        "frames": 10,
        "holdout": 2,
        "rounds": ROUNDS,
        "budget": 6,
        **more,
    }
    return [str(word) for name, value in given.items() for word in (f"--{name}", value)]


@pytest.mark.timeout(900)
def test_a_campaign_on_servers_and_a_cluster_reports_what_the_local_one_does(
    example: dict[str, Any],
    data: Made,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = str(postgres.server().place())
    # A cluster of its own: its workers have the credentials of this test.
    servers = {"ledger": url, "bucket": f"s3://{BUCKET}/same/photos", "on": "ray", "shard": 3}
    out = tmp_path / "compared"
    (tmp_path / "camera.toml").write_text("field_of_view = 66.0\n")  # of no image in the bucket
    monkeypatch.setattr(sys, "argv", ["campaign_anywhere.py", *words(data, out, **servers)])
    example["main"]()
    printed = capsys.readouterr().out
    said = [line for line in printed.splitlines() if line.startswith("equal: ")]
    assert said == [
        "equal: picks (2)",
        "equal: scores (2)",
        "equal: trainings and their weights (2)",
        "equal: metrics (2)",
        "equal: labels (18)",
        "equal: pre-labels (6)",
        "equal: status (1)",
        "equal: cells (30)",
        "equal: report (1)",
    ]
    for wanted in (f"--ledger {url}", "--on ray --workers 2 --shard 3"):
        assert wanted in printed
    here, there = (out / name / "flat" for name in ("here", "there"))
    assert (here / "labelgrid.db").is_file() and not (there / "labelgrid.db").exists()
    assert len(status(there)["rounds"]) == ROUNDS + 1

    # What differs is said.
    picks = there / "rounds/0002/picks.json"
    picks.write_text(picks.read_text().replace('"score": ', '"score": 1'))
    (there / "rounds/0002/prelabels/depth").rename(tmp_path / "taken")
    shutil.copy(there / "rounds/0002/heldout.json", there / "rounds/0003/heldout.json")
    with pytest.raises(SystemExit, match="4 of 9 sorts of results differ"):
        example["compare"](here, there)
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if line.startswith("DIFFERENT: ")] == [
        "DIFFERENT: picks: rounds/0002/picks.json (1 of 2)",
        "DIFFERENT: metrics: rounds/0003/heldout.json (1 of 2)",
        "DIFFERENT: pre-labels: rounds/0002/prelabels/depth/0000.png, rounds/0002/prelabels/depth/0001.png (2 of 6)",
        "DIFFERENT: status: status (1 of 1)",  # it shows the metrics
    ]


def test_without_a_server_nothing_is_run_and_what_to_start_is_said(
    example: dict[str, Any], data: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["campaign_anywhere.py", *words(data, tmp_path / "compared")])
    with pytest.raises(SystemExit) as ended:
        example["main"]()
    for option in ("--ledger", "--bucket", "--on"):
        assert option in str(ended.value)
    assert not list(tmp_path.iterdir())
