"""Measures how long a ledger in PostgreSQL takes to migrate, and what is left when that is killed.

Images of the revision before have misspelt splits. The migration is killed before its last
statement, after all of them were renamed; then it is done.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _measure import check_limit, machine

from labelgrid.ledger.store import Store
from tests.databases import changing, rows
from tests.postgres import running
from tests.unit.ledger.test_known_values import KILLED, make_old

INSERT = """
INSERT INTO images (id, name, key, root, digest, height, width, split, grp)
SELECT i, i || '.png', i, 'photos', '', 480, 640, 'training', '' FROM generate_series(2, {}) AS i
"""
STATE = (
    "SELECT version_num, (SELECT count(*) FROM images WHERE split = 'training') FROM ledger_version"
)


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    options = parser.parse_args(words)
    print(machine())
    with running() as server:
        ledger = server.place()
        make_old(ledger, ["training"])
        with changing(ledger) as connection:
            connection.exec_driver_sql(INSERT.format(options.images))
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", KILLED, str(ledger), "UPDATE ledger_version"], check=False
        )
        print(f"killed after {time.perf_counter() - start:.1f} s")
        ((revision, left),) = rows(ledger, STATE)
        start = time.perf_counter()
        Store.open(ledger).close()
        seconds = time.perf_counter() - start
        ((done, still),) = rows(ledger, STATE)
    print(f"the whole migration: {seconds:.1f} s")
    print(f"after the kill: revision {revision}, {left:,} images as before; then {done}, {still:,}")
    held = [
        check_limit("images changed by the killed migration", options.images - left, 0, ""),
        check_limit("images not renamed by the next", still, 0, ""),
    ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    raise SystemExit(main())
