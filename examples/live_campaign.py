"""Runs a live campaign on real frames: init, then rounds of query, export, label, import, fit; then the report.

`answer` writes the labels that each request asks for into the request's folder; it replaces people,
sensors or a labelling service. All other steps are commands as a user types them.

    python examples/live_campaign.py --data nyud --root NYUV2 --classes NYUV2/classes40.txt
    --weights FILE --out flat
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from labelgrid import cli
from labelgrid.basics import plugins
from labelgrid.data.dataset import Source
from labelgrid.project.folder import ProjectFolder


def run(*words: str | Path) -> None:
    """Print one labelgrid command and run it in this process, which loads PyTorch once."""
    print(f"\n$ labelgrid {' '.join(map(str, words))}", flush=True)
    sys.argv = ["labelgrid", *map(str, words)]
    try:
        cli.main()
    except SystemExit as ended:
        if ended.code:
            raise


def answer(request: Path, source: Source, project: Path) -> int:
    """Write every label that a request's manifest lists to its expected path; skip those that do not exist."""
    with ProjectFolder.open(project) as opened:
        tasks = opened.tasks()
    labelled = 0
    skips = ["request_id,reason"]
    for item in json.loads((request / "manifest.json").read_text()):
        label = source.label(item["image"], tasks[item["task"]])
        if label is None or not label.valid.any():
            skips.append(f"{item['request_id']},no label available")
            continue
        path = request / item["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        tasks[item["task"]].write(path, label)
        labelled += 1
    (request / "skips.csv").write_text("\n".join(skips) + "\n")
    print(f"(labelled {labelled} cells, skipped {len(skips) - 1})", flush=True)
    return labelled


def link_images(options: argparse.Namespace, source: Source, folder: Path | None = None) -> Path:
    """A folder with links to some of the images of a data set; by default beside OUT.

    Paths in a list file are below its own folder, and ROOT must not be changed.
    """
    image_ids = sorted(source.images())
    chosen = image_ids[:: max(1, len(image_ids) // options.frames)][: options.frames]
    originals = options.root.absolute() / "images"
    images: Path = folder or options.out.with_name(options.out.name + "-images")
    for image_id in chosen:
        link = images / image_id
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(originals / image_id)
    return images


def campaign_parser(description: str) -> argparse.ArgumentParser:
    """The options of any campaign on a data set."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--data", default="nyud", help="the layout of ROOT: a data plug-in")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--classes", required=True, help="a file of class names")
    parser.add_argument(
        "--weights", type=Path, help="a file of backbone weights; by default they are downloaded"
    )
    parser.add_argument("--recipe", default="small-shared-heads")
    parser.add_argument("--out", type=Path, required=True, help="the project's folder")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--holdout", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budget", type=int, default=36, help="labels per round")
    parser.add_argument("--epochs", type=int, default=0, help="instead of the recipe's")
    return parser


def campaign(
    options: argparse.Namespace,
    source: Source,
    project: Path,
    images: Path | str,
    *,
    init: Sequence[str | Path] = (),
    score: Sequence[str | Path] = (),
) -> None:
    """Run a campaign in a new project.

    Args:
        options: those of `main`.
        source: the data set with the labels.
        project: the project's folder.
        images: the folder of its images, or their address.
        init: further words for `init`.
        score: words for `score`, which is then run before each query; by default `query` scores.
    """
    weights = ["--weights", options.weights] if options.weights else []
    tasks = ["--task", f"semseg:{options.classes}", "--task", "depth", "--task", "normals"]
    how = ["--holdout", str(options.holdout), "--recipe", options.recipe]
    how += ["--strategy", options.strategy, *weights, *init]
    run("init", project, "--images", images, *tasks, *how)
    epochs = ["--epochs", str(options.epochs)] if options.epochs else []
    for number in range(1, options.rounds + 1):
        if score and number > 1:  # the first round has no model yet
            run("score", project, *score)
        run("query", project, "--budget", str(options.budget))
        for round_ in (0, number) if number == 1 else (number,):
            request = project / "rounds" / f"{round_:04d}" / "request"
            run("export", project, "--round", str(round_))
            answer(request, source, project)
            run("import", project, request)
        run("fit", project, *epochs)
    run("evaluate", project)
    run("status", project)
    run("report", project)


def main() -> None:
    parser = campaign_parser(__doc__ or "")
    parser.add_argument("--strategy", default="random_images")
    options = parser.parse_args()
    started = time.monotonic()
    source: Source = plugins.resolve("layouts", options.data)(options.root)
    campaign(options, source, options.out, link_images(options, source))
    print(f"\n{options.rounds} rounds in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
