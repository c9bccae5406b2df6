"""Defines the ranges of the numbers in the options of terms. Loads no torch."""

from typing import Annotated

from pydantic import Field

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
