"""Four small files at once, each of which takes gigabytes when it is unpacked, are handed to the page.

They come as labels of a cell and as answers of a tool. The server says in a sentence why it takes
none, and needs less than a gigabyte for all of them.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2

from tests.torture.counting import Row
from tests.torture.heads import npz
from tests.torture.neighbours import Served, labelled_cell, served_by_owner
from tests.torture.pool import peak
from tests.torture.projects import Stages

#: The files at once, and the most memory of the server, in MiB.
AT_ONCE = 4
MOST = 1024
#: 2.2 GiB as float64, in a file of 10 MB.
SHAPE = (10_000, 30_000)
#: Seconds until an answer.
PATIENCE = 120


def four_at_once(stages: Stages, folder: Path) -> Row:
    """What the page answers; the row's note is the server's peak memory in each case."""
    row = Row("four inflated files at once on the page")
    content = npz(("a", SHAPE))
    flat = stages.room("imported", folder / "room") / "flat"
    fields = {"labels": {"cell": labelled_cell(flat)}, "job-form/import": {"task": "depth"}}
    with served_by_owner(flat, "link") as served:
        for path, values in fields.items():
            before = peak(fresh=True, process=served.process)
            with ThreadPoolExecutor(AT_ONCE) as threads:
                sent = [
                    threads.submit(_send, served, path, values, content) for _ in range(AT_ONCE)
                ]
                outcomes = [each.result() for each in sent]
            most = peak(process=served.process)
            row.notes.append(f"{path}: {before:.0f} MiB before, at most {most:.0f} MiB")
            for outcome, note in outcomes:
                row.count("memory" if most > MOST else outcome, f"{path}: {note} {most:.0f} MiB")
    return row


def _send(served: Served, path: str, values: dict[str, str], content: bytes) -> tuple[str, str]:
    """How the page takes a file."""
    start = time.monotonic()
    try:
        answer = httpx2.post(
            f"http://127.0.0.1:{served.port}/api/{path}",
            headers={"Authorization": f"Bearer {served.token}"},
            data=values,
            files={"file": ("depth.npz", content)},
            timeout=PATIENCE,
        )
    except httpx2.TimeoutException:
        return "hang", f"{time.monotonic() - start:.0f} s"
    is_refused = 400 <= answer.status_code < 500 and "Traceback" not in answer.text
    is_job = path != "labels" and answer.status_code == 303  # it says what is wrong with the file
    return (
        "refused" if is_refused or is_job else "wrong",
        f"{answer.status_code} {answer.text[:300]}",
    )
