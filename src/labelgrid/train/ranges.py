"""Defines the ranges of the numbers in the options of terms. Loads no torch."""

from typing import Annotated

from pydantic import Field

from labelgrid.nets.encoder_options import WIDEST
from labelgrid.train.train_options import LEVELS

#: The weight of a loss.
Weight = Annotated[float, Field(ge=0, le=1e9)]
#: A share of a whole, from none to all.
Share = Annotated[float, Field(ge=0, le=1)]
#: A learning rate; 0: the training's.
OwnRate = Annotated[float, Field(ge=0, le=100)]
#: The sides of an image over those of a crop.
Zoom = Annotated[float, Field(ge=1, le=16)]
#: Several of these, of which one is drawn.
Zooms = Annotated[tuple[Zoom, ...], Field(min_length=1)]
#: The learning rate of an optimiser of a term's own.
AdamRate = Annotated[float, Field(gt=0, le=100)]
#: The channels of a layer.
Width = Annotated[int, Field(ge=1, le=WIDEST)]
#: The filters of the first stage of a network whose widest have 8 times as many.
FirstWidth = Annotated[int, Field(ge=1, le=WIDEST // 8)]
#: The number of changes to an image's colours, and that of their strengths.
Operations = Annotated[int, Field(ge=0, le=16)]
Levels = Annotated[int, Field(ge=1, le=LEVELS)]
