"""Says before a training which of its terms can have no effect in it."""

from labelgrid.train.term import Preparation


def say_if_idle(
    term: str, data: Preparation, *, pairs: bool = False, images: bool = False, unlabelled: bool = False
) -> None:
    """Say why a term can have no effect, if it has none.

    Args:
        term: its name, for the message.
        data: of the training.
        pairs: it compares tasks with each other.
        images: it compares the images of a batch with each other.
        unlabelled: the network learns from it only where an image lacks a task's label.
    """
    if pairs and len(data.tasks) < 2:
        data.progress.say(f"The term '{term}' compares pairs of tasks: with one task it does nothing.")
    elif images and data.batch == 1:
        data.progress.say(f"The term '{term}' compares the images of a batch: with one image in each it does nothing.")
    elif unlabelled and data.complete:
        data.progress.say(
            f"The term '{term}' learns from tasks without a label: every training image has all labels, so it teaches "
            "the network nothing."
        )
