"""Epochs of few steps, as in the first rounds of a campaign: read together, against a loader for each of them.

Both sides train the same network on the same batches. A loader for each epoch is what one usually
writes; its workers are started for every epoch, and nothing is read while one ends.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from _made import make_files, network_of, recipe, task_definitions
from _measure import check_limit, interleaved, machine, show
from training_step import Bare, train_batches

from labelgrid.tasks.task import build_all

#: The least ratio of wall times.
BAR = 1.3


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=8, help="a step of each epoch: one batch")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument(
        "--size", type=int, nargs=2, default=(480, 640), help="height and width of the files"
    )
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(words)
    print(machine())
    settings = recipe("shared_heads")
    with tempfile.TemporaryDirectory() as folder:
        source = make_files(Path(folder), options.images, tuple(options.size), every=1)
        network = network_of(build_all(task_definitions()), of=settings).train()
        train = replace(settings.train, batch=options.images)
        bare = Bare(network, train.learning_rate, train.weight_decay, train.known)

        def trained(epoch: int, epochs: int) -> None:
            batches = train_batches(
                source,
                task_definitions(),
                source.images(),
                settings.data,
                batch=train.batch,
                seed=0,
                epoch=epoch,
                epochs=epochs,
                workers=options.workers,
            )
            for batch in batches:
                bare.step(batch)

        def one_by_one() -> None:
            for epoch in range(options.epochs):
                trained(epoch, 1)

        times = interleaved(
            {"a loader for each epoch": one_by_one, "together": lambda: trained(0, options.epochs)},
            options.repeats,
        )
    show(times)
    ratio = times["a loader for each epoch"].over(times["together"])
    holds = check_limit("a loader for each epoch / together", ratio, BAR, least=True)
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
