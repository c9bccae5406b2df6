"""Says before a training which terms, or pairs of tasks in terms, can have no effect."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from labelgrid.basics.words import join_names
from labelgrid.train.pairs import Pairs
from labelgrid.train.term import Preparation

#: What lets a term with the option `sources` learn from labelled tasks.
SOURCES_ALL = 'Set sources = "all" for predictions of labelled tasks, too.'
#: Maps the labels present, bool [b, t], and the pairs allowed, bool [t, t], to the pairs that a
#: term uses.
FindPairs = Callable[[Tensor, Tensor], Pairs]


def say_if_idle(
    term: str,
    data: Preparation,
    *,
    several: bool = False,
    images: bool = False,
    unlabelled: bool = False,
    remedy: str = "",
    listed: Sequence[tuple[str, str]] = (),
    pairs: FindPairs | None = None,
) -> None:
    """Say why a term, or some of its listed pairs, can have no effect.

    Args:
        term: its name, for the message.
        data: the data of the training.
        several: it needs several tasks; so does one with `pairs`.
        images: it compares the images of a batch with each other.
        unlabelled: the network learns from it only where an image lacks a task's label.
        remedy: the setting with which the term also learns from labelled tasks.
        listed: the pairs of tasks that the term's options allow; None: all pairs.
        pairs: a function that finds the pairs for the term in images with these labels.
    """
    if (several or pairs) and len(data.tasks) < 2:
        data.progress.say(
            f"The term '{term}' compares pairs of tasks: with one task it does nothing."
        )
    elif images and data.batch == 1:
        data.progress.say(
            f"The term '{term}' compares the images of a batch: "
            "with one image in each it does nothing."
        )
    elif unlabelled and all(tasks >= data.tasks.keys() for tasks in data.label_sets):
        data.progress.say(
            f"The term '{term}' learns from tasks without a label: every training image has "
            f"all labels, so it teaches the network nothing. {remedy}".rstrip()
        )
    elif pairs:
        _say_unused(term, data, listed, _pairs_in_training(data, pairs))


def _say_unused(
    term: str, data: Preparation, listed: Sequence[tuple[str, str]], used: set[tuple[str, str]]
) -> None:
    unused = []
    for source, target in dict.fromkeys(listed):
        if (source, target) not in used:
            unused.append(f"{source} to {target}")
    if not used:
        data.progress.say(
            f"No training image has a pair of tasks that the term '{term}' uses: it does nothing."
        )
    elif unused:
        data.progress.say(
            f"Pairs of the option 'listed' of the term '{term}' that occur in no training image, "
            f"and do nothing: {join_names(unused, between='; ')}."
        )


def _pairs_in_training(data: Preparation, find: FindPairs) -> set[tuple[str, str]]:
    names = list(data.tasks)
    present = torch.zeros(len(data.label_sets), len(names), dtype=torch.bool)
    for row, tasks in enumerate(data.label_sets):
        for column, name in enumerate(names):
            present[row, column] = name in tasks
    pairs = find(present, ~torch.eye(len(names), dtype=torch.bool))
    used = set()
    for source, target in zip(pairs.source.tolist(), pairs.target.tolist(), strict=True):
        used.add((names[source], names[target]))
    return used
