"""Runs a live campaign with relations: the normals and edges that follow from other labels are not bought.

Some images are drawn at random and bought with all labels. On them `relate` measures how far labels
follow from one another, and through which camera. Then each round buys what the tasks together gain
most from. `live_campaign.answer` replaces people, sensors or a labelling service.

    python examples/related_campaign.py --root NYUV2 --classes NYUV2/classes40.txt --weights FILE
    --out flat
"""

import time
from pathlib import Path

from live_campaign import answer, campaign_parser, link_images, run

from labelgrid.basics import plugins
from labelgrid.data.dataset import Source


def main() -> None:
    parser = campaign_parser(__doc__ or "")
    parser.set_defaults(budget=16)
    parser.add_argument("--pairs", type=int, default=10, help="images bought with all labels")
    options = parser.parse_args()
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
    run("init", project, "--images", images, *tasks, "--strategy", "joint", *how)
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
