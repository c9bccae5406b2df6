"""Defines networks with one stage: each task is predicted once, from the shared map.

Known labels have no effect.
"""

from torch import nn

from labelgrid.nets.blocks import last_layers, run_each
from labelgrid.nets.encoder_options import DropoutOptions
from labelgrid.nets.keyed_dropout import ChannelDropout
from labelgrid.nets.network import Features, Network, Output, Raw
from labelgrid.pixel.target import Targets
from labelgrid.tasks.task import Tasks


class OneStage(Network):
    """Encoder, then for each task a body, dropout and a 1×1 convolution.

    Args:
        tasks: the tasks by name.
        encoder: returns `Features`.
        channels: the channels of the shared map.
        bodies: each task's layers, from the shared map to its features.
        width: channels of the bodies' features.
        options: the rates of dropout.
    """

    def __init__(
        self,
        tasks: Tasks,
        encoder: nn.Module,
        channels: int,
        bodies: nn.ModuleDict,
        width: int,
        options: DropoutOptions,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = ChannelDropout(options.encoder_dropout, channels, "encoder")
        self.bodies = bodies
        self.last = last_layers(tasks, width, options.dropout, "final")

    def decode(self, features: Features, known: Targets | None = None) -> Output:
        """Run the heads; known labels are ignored."""
        shared = self.dropout(features.shared)
        task_features = {name: body(shared) for name, body in self.bodies.items()}
        return Output(
            initial=(),
            final=self.predict(task_features),
            features=features,
            task_features=task_features,
        )

    def predict(self, task_features: Raw) -> Raw:
        """Run the heads' dropout and last convolution."""
        return run_each(self.last, task_features)
