"""Runs a live campaign that buys two of four tasks: normals and edges follow from depth and classes.

Ten images are drawn at random and bought with all labels. On them `relate` measures how far labels
follow from one another, and through which camera. Then three rounds buy classes and depth alone.
`live_campaign.answer` replaces people, sensors or a labelling service.

    python examples/related_campaign.py --root NYUV2 --classes NYUV2/classes40.txt --weights FILE
    --out flat
"""

import argparse
import time
from pathlib import Path

from live_campaign import answer, run

from labelgrid import plugins
from labelgrid.data.dataset import Source

#: What a user writes into labelgrid.toml: which tasks a round buys, and which relations there are.
STRATEGY = """\
[strategy]
name = "random_tasks"
options = { shares = { semseg = 1, depth = 1 } }
"""
RELATIONS = """
[changes.relations.depth_normals]

[changes.relations.semseg_edges]
"""


def declare(project: Path) -> None:
    """Declare the strategy and the relations in the project's settings."""
    path = project / "labelgrid.toml"
    text = path.read_text()
    path.write_text(text.partition("[strategy]")[0] + STRATEGY + RELATIONS)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
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
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budget", type=int, default=16, help="labels per round")
    parser.add_argument("--epochs", type=int, default=0, help="instead of the recipe's")
    return parser.parse_args()


def link_images(options: argparse.Namespace, source: Source) -> Path:
    """A folder with links to some of the images of a data set, which stays as it is."""
    image_ids = sorted(source.images())
    chosen = image_ids[:: max(1, len(image_ids) // options.frames)][: options.frames]
    images: Path = options.out.with_name(options.out.name + "-images")
    for image_id in chosen:
        link = images / image_id
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(options.root.absolute() / "images" / image_id)
    return images


def main() -> None:
    options = parse()
    project: Path = options.out
    started = time.monotonic()
    source: Source = plugins.resolve("layouts", options.data)(options.root)
    images = link_images(options, source)

    def label(number: int) -> None:
        request = project / "rounds" / f"{number:04d}" / "request"
        run("export", project, "--round", str(number))
        answer(request, source, project)
        run("import", project, request)

    tasks = ["--task", f"semseg:{options.classes}"]
    for name in ("depth", "normals", "edges"):
        tasks += ["--task", name]
    weights = ["--weights", options.weights] if options.weights else []
    how = ["--holdout", str(options.holdout), "--recipe", options.recipe, *weights]
    run("init", project, "--images", images, *tasks, *how)
    declare(project)
    labels = options.pairs * 4
    run("query", project, "--pairs", str(options.pairs), "--budget", str(labels))
    label(0)
    label(1)
    run("relate", project, "--write")
    epochs = ["--epochs", str(options.epochs)] if options.epochs else []
    for number in range(2, options.rounds + 2):
        run("query", project, "--budget", str(options.budget))
        label(number)
        run("fit", project, *epochs)
    run("status", project)
    run("report", project)
    print(f"\n{options.rounds} rounds in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
