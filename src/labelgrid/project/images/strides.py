"""Checks that the strides of the tasks' labels divide the sides of every image.

Loads no torch.
"""

from labelgrid.basics.errors import ImageError
from labelgrid.basics.words import count_text
from labelgrid.ledger.store import Store
from labelgrid.tasks.task import definitions


def check_strides(store: Store) -> None:
    """Check the images of known size.

    An image that a stride does not divide would never get a label, since a label's file has whole
    pixels.

    Raises:
        ImageError: a stride does not divide the sides of an image; names the task and the first
            such image.
    """
    strides = {name: task.form.stride for name, task in definitions(store.tasks()).items()}
    strides = {name: stride for name, stride in strides.items() if stride > 1}
    if not strides:
        return
    images = [row for row in store.images() if row.height]
    for task, stride in strides.items():
        misfits = [row for row in images if row.height % stride or row.width % stride]
        if misfits:
            first = misfits[0]
            share = f"{len(misfits)} of {count_text(len(images), 'image')}"
            raise ImageError(
                f"The stride of '{task}', {stride}, does not divide the sides of {share}; the "
                f"first is '{first.image_id}' of {first.height}x{first.width} (height x width).",
                next_step="Crop or pad these images to multiples of the stride, or declare "
                "another stride.",
            )
