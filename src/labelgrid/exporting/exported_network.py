"""The network for programs without labelgrid, from images to predictions at the same size."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional

from labelgrid.data.batch import Batch
from labelgrid.data.data_options import DataOptions
from labelgrid.nets.network import Network
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import Tasks
from labelgrid.train.flip_average import predict_whole

#: Values [b, c, h, w] and where they are valid, bool [b, 1, h, w], by task.
KnownLabels = Mapping[str, tuple[Tensor, Tensor]]


class ExportedNetwork(nn.Module):
    """Predicts tasks at the size of the images, as `labelgrid predict` does.

    Args:
        network: trained, in evaluation mode.
        tasks: all tasks that the network predicts, by name.
        predicted: the names of the returned tasks, in order.
        data: whether images are also predicted mirrored.
    """

    def __init__(
        self, network: Network, tasks: Tasks, predicted: Sequence[str], data: DataOptions
    ) -> None:
        super().__init__()
        self.network = network
        self.tasks = dict(tasks)
        self.predicted = tuple(predicted)
        self.data = data

    def forward(self, image: Tensor, known: KnownLabels | None = None) -> tuple[Tensor, ...]:
        """Predict normalised images [b, 3, h, w], given known labels of their size.

        Returns:
            the predictions [b, channels, h, w] of the `predicted` tasks.
        """
        targets = {name: Target(*label) for name, label in (known or {}).items()}
        batch = Batch(ids=(), images=image, targets=targets, weights=image.new_zeros(0))
        final = predict_whole(self.network, batch, self.tasks, self.data)
        size = image.shape[-2:]
        predictions = []
        for name in self.predicted:
            raw = functional.interpolate(
                final[name], size=size, mode="bilinear", align_corners=False
            )
            predictions.append(self.tasks[name].activate(raw))
        return tuple(predictions)
