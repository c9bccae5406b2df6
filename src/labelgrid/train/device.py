"""Chooses the device and the precision of a training."""

from lightning_fabric import Fabric

from labelgrid.errors import TrainingError


def make_fabric(device: str, precision: str) -> Fabric:
    """A Fabric with the device and precision of a training.

    Raises:
        TrainingError: there is no such device.
    """
    try:
        return Fabric(accelerator=device, devices=1, precision=precision)
    except (RuntimeError, ValueError) as error:  # Lightning raises both
        raise TrainingError(
            f"There is no device '{device}' here to train on.",
            next_step='Set device = "auto" in [train].',
            unchanged="Nothing was trained.",
        ) from error
