"""Turns batch norm's error about a single value into one that says what to do."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from labelgrid.errors import TrainingError


@contextmanager
def refuse_tiny_batches(ids: Sequence[str]) -> Iterator[None]:
    """Refuse a batch of these images in which batch norm sees one value a channel.

    Raises:
        TrainingError: the batch, or a term's view of it, is one image whose smallest map is a
            single pixel.
    """
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise TrainingError(
            "The batch, or a term's view of it, is one image that is too small for batch normalisation.",
            where=", ".join(ids),
            next_step='Set a larger `size` in [data] or norm = "frozen" in [train], label more images, or let the '
            "terms crop less.",
        ) from error
