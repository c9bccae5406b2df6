"""Runs the live campaign twice, on this machine alone and on servers, and compares what came of the two.

The second one keeps its ledger in PostgreSQL and its images in a bucket, and is scored on Ray. Say
where these are; one that is not named is replaced by this machine, as in the first campaign.
Credentials come from the environment (docs/how-to/object-storage.md, docs/how-to/postgresql.md).

    python examples/campaign_anywhere.py --data nyud --root NYUV2 --classes NYUV2/classes40.txt
    --weights FILE --out compared --ledger postgresql+psycopg://ann@db.lab/labels
    --bucket s3://bucket/trial --on ray:10.0.0.1:6379
"""

import json
import re
from pathlib import Path

import fsspec
from live_campaign import campaign, campaign_parser, link_images

import labelgrid
from labelgrid.basics import plugins
from labelgrid.data.dataset import Source

#: What to start for each option that may be left out.
SERVERS = {
    "ledger": "a PostgreSQL server (docs/how-to/postgresql.md): postgresql+psycopg://USER@HOST/DATABASE",
    "bucket": "an address to copy the images to (docs/how-to/object-storage.md): s3://BUCKET/FOLDER",
    "on": "`ray` for a cluster of this machine, ray:ADDRESS for another (docs/how-to/machines.md)",
}
#: Which files of a project must be equal; those of trainings have a hash of the weights.
FILES = {
    "picks": "rounds/*/picks.json",
    "scores": "rounds/*/scores/*.parquet",
    "trainings and their weights": "rounds/*/fit.json",
    "metrics": "rounds/*/heldout.json",
    "labels": "labels/**/*.*",
    "pre-labels": "rounds/*/prelabels/**/*.*",
}
TIMES = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d|\b\d+(\.\d+)? (s|min)\b")


def upload(images: Path, bucket: str) -> None:
    """Copy the files of a folder below an address."""
    store, root = fsspec.url_to_fs(bucket)
    paths = [path for path in sorted(images.rglob("*")) if path.is_file()]
    for path in paths:
        store.put_file(str(path), f"{root.rstrip('/')}/{path.relative_to(images).as_posix()}")
    print(f"(copied {len(paths)} images to {bucket})", flush=True)


def results(project: Path) -> dict[str, dict[str, str | bytes]]:
    """What came of a campaign, without folders and times: each sort of result by its parts."""
    found: dict[str, dict[str, str | bytes]] = {}
    for what, pattern in FILES.items():
        paths = [path for path in sorted(project.glob(pattern)) if path.is_file()]
        found[what] = {str(path.relative_to(project)): path.read_bytes() for path in paths}

    def without_place(text: str) -> str:
        return TIMES.sub("TIME", text.replace(str(project), "PROJECT"))

    with labelgrid.Project.open(project) as opened:
        found["status"] = {"status": without_place(json.dumps(opened.status()))}
        found["cells"] = {}
        for cell in opened.cells():
            found["cells"][f"{cell['image']}:{cell['task']}"] = without_place(json.dumps(cell))
    found["report"] = {"report.html": without_place((project / "report.html").read_text())}
    return found


def compare(here: Path, there: Path) -> None:
    """Print which results of two projects are equal, but for folders and times; exit if one is not."""
    ours = results(here)
    theirs = results(there)
    different = 0
    for what in ours:
        names = sorted({*ours[what], *theirs[what]})
        unequal = [name for name in names if ours[what].get(name) != theirs[what].get(name)]
        different += bool(unequal)
        if unequal:
            print(f"DIFFERENT: {what}: {', '.join(unequal[:3])} ({len(unequal)} of {len(names)})")
        else:
            print(f"equal: {what} ({len(names)})")
    if different:
        raise SystemExit(f"{different} of {len(ours)} sorts of results differ.")


def main() -> None:
    parser = campaign_parser(__doc__ or "")
    parser.set_defaults(strategy="partal")
    for name, text in SERVERS.items():
        parser.add_argument(f"--{name}", default="", help=text)
    parser.add_argument("--workers", type=int, default=2, help="those of --on")
    parser.add_argument(
        "--shard", type=int, default=1000, help="images that a worker scores at a time"
    )
    options = parser.parse_args()
    missing = [f"--{name}: {text}" for name, text in SERVERS.items() if not getattr(options, name)]
    if len(missing) == len(SERVERS):
        raise SystemExit(
            "\n".join(["Nothing to compare with. Start at least one of these:", *missing])
        )
    out: Path = options.out.absolute()
    source: Source = plugins.resolve("layouts", options.data)(options.root)
    # Not beside OUT, where a `camera.toml` may lie: in a bucket none is looked for.
    images = link_images(options, source, out / "images")
    if options.bucket:
        upload(images, options.bucket)
    ledger = ["--ledger", options.ledger] if options.ledger else []
    # A worker computes with one thread: sums of more threads differ in their last bits.
    one = ["--workers", "1", "--shard", str(options.shard)]
    many = ["--on", options.on or "processes", "--workers", str(options.workers), *one[2:]]
    campaign(options, source, out / "here" / "flat", images, score=one)
    campaign(
        options,
        source,
        out / "there" / "flat",
        options.bucket or images,
        init=ledger,
        score=many,
    )
    print()
    compare(out / "here" / "flat", out / "there" / "flat")
    for line in missing:
        print(f"not tried: {line}")


if __name__ == "__main__":
    main()
