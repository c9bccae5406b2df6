"""Checks that every image has a size that the strides of the tasks' labels divide.

Loads no torch.
"""

from labelgrid.errors import ImageError
from labelgrid.ledger.store import Store
from labelgrid.tasks.task import definitions
from labelgrid.words import count_text


def check_strides(store: Store) -> None:
    """Check the images of known size: others would never get a label, since a label's file has whole pixels.

    Raises:
        ImageError: a stride does not divide the sides of an image; names the task and the first
            such image.
    """
    strides = {
        name: task.form.stride
        for name, task in definitions(store.tasks()).items()
        if task.form.stride > 1
    }
    images = [row for row in store.images() if row.height] if strides else []
    for task, stride in strides.items():
        wrong = [row for row in images if row.height % stride or row.width % stride]
        if wrong:
            first = wrong[0]
            share = f"{len(wrong)} of {count_text(len(images), 'image')}"
            raise ImageError(
                f"The stride of '{task}', {stride}, does not divide the sides of {share}; "
                f"the first is '{first.image_id}' of {first.height}x{first.width} (height x width).",
                next_step="Crop or pad these images to multiples of the stride, or declare another stride.",
            )
