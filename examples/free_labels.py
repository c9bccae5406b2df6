"""Runs a campaign in which small networks give labels for nothing, as far as they earn trust.

Each model of a folder (an ONNX file with a TOML file, see docs/how-to/onnx-models.md) labels the
training images by `supply`. Ten random cells of each are bought as true labels, on which `relate`
measures the trust. Then each round buys what the tasks together gain most from.
`live_campaign.answer` replaces people, sensors or a labelling service.

    python examples/free_labels.py --models MODELS --data NYUV2 --weights FILE --out free
"""

import argparse
import time
import tomllib
from pathlib import Path

from live_campaign import answer, link_images, run

from labelgrid.basics import plugins
from labelgrid.basics.type_names import Json
from labelgrid.data.dataset import Source

#: What models call the tasks of this campaign.
TASKS = ("classes", "depth", "edges")
#: What names of the Pascal classes mean in NYUv2.
MEANINGS = {"diningtable": "table", "tvmonitor": "television"}


def models_of(folder: Path) -> dict[Path, Json]:
    """The descriptions of models that give one of the tasks, by their files."""
    models = {}
    for path in sorted(folder.glob("*.toml")):
        described = tomllib.loads(path.read_text())
        if described.get("task") in TASKS:
            models[path] = described
    return models


def supply(project: Path, model: Path, described: Json) -> None:
    """Have one model label the training images, as the supplier of the file's name."""
    words: list[str] = []
    output = described["output"]
    if described["task"] == "depth" and "up_to" not in output:  # inverse, of any scale
        words = ["--set", "up_to=scale-shift", "--set", "larger_is_nearer=true"]
    renamed = MEANINGS.keys() & set(output.get("classes", ()))
    if renamed:
        words = ["--map", ",".join(f"{name}={MEANINGS[name]}" for name in sorted(renamed))]
    run("supply", project, model.stem, "--model", model, *words)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=Path, required=True, help="ONNX files, each with a TOML")
    parser.add_argument("--data", type=Path, required=True, help="NYUv2, with classes40.txt")
    parser.add_argument("--layout", default="nyud", help="of the data: a data plug-in")
    parser.add_argument("--classes", type=Path, help="by default DATA/classes40.txt")
    parser.add_argument("--weights", type=Path, help="a file of backbone weights")
    parser.add_argument("--recipe", default="small-shared-heads")
    parser.add_argument("--out", type=Path, required=True, help="the project's folder")
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--holdout", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budget", type=int, default=30, help="labels per round")
    parser.add_argument("--epochs", type=int, default=0, help="instead of the recipe's")
    options = parser.parse_args()
    options.root = options.data
    project: Path = options.out
    started = time.monotonic()
    source: Source = plugins.resolve("layouts", options.layout)(options.data)
    images = link_images(options, source)

    def label(number: int) -> None:
        request = project / "rounds" / f"{number:04d}" / "request"
        run("export", project, "--round", str(number))
        answer(request, source, project)
        run("import", project, request)

    classes = options.classes or options.data / "classes40.txt"
    tasks = ["--task", f"semseg:{classes}", "--task", "depth", "--task", "edges"]
    weights = ["--weights", options.weights] if options.weights else []
    how = ["--holdout", str(options.holdout), "--recipe", options.recipe, *weights]
    run("init", project, "--images", images, *tasks, "--strategy", "joint", *how)
    for model, described in models_of(options.models).items():
        supply(project, model, described)
    run("query", project, "--audit", "10")
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
