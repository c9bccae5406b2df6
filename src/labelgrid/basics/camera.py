"""Describes a pinhole camera in pixels, and how views of an image change the camera."""

import math
from dataclasses import dataclass

from labelgrid.basics.type_names import Size

#: Where the camera is unknown, an image's width is taken to be seen under this angle, in degrees:
#: other axes, and labels of other images, show anyway.
USUAL_VIEW = 66.0


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion.

    The middle of the first pixel is at (0, 0): the point (x right, y down, z away from the camera)
    is seen at column `fx * x / z + cx` and row `fy * y / z + cy`.

    Args:
        fx: the focal length in columns, larger than 0.
        fy: the focal length in rows, larger than 0.
        cx: the column that the camera's axis passes through.
        cy: its row.
    """

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if not (self.fx > 0 and self.fy > 0):
            raise ValueError(f"focal lengths are above 0; they are {self.fx} and {self.fy}")

    @classmethod
    def of_view(cls, degrees: float, size: Size) -> "Camera":
        """The camera with square pixels that looks through the middle of an image.

        Args:
            degrees: the angle of the image's width.
            size: the image's height and width.

        Example:
            >>> camera = Camera.of_view(90.0, (2, 4))
            >>> round(camera.fx, 9), round(camera.fy, 9), camera.cx, camera.cy
            (2.0, 2.0, 1.5, 0.5)
        """
        height, width = size
        focal = width / 2 / math.tan(math.radians(degrees) / 2)
        return cls(focal, focal, (width - 1) / 2, (height - 1) / 2)

    def shift(self, columns: float, rows: float) -> "Camera":
        """The camera of a crop that begins `columns` further right and `rows` further down.

        Example:
            >>> Camera(8, 8, 3.5, 2.5).shift(2, -1)
            Camera(fx=8, fy=8, cx=1.5, cy=3.5)
        """
        return Camera(self.fx, self.fy, self.cx - columns, self.cy - rows)

    def scale(self, across: float, down: float) -> "Camera":
        """The camera of the image resized by the factors `across` and `down`.

        Example:
            >>> Camera(8, 8, 3.5, 2.5).scale(0.5, 2)
            Camera(fx=4.0, fy=16, cx=1.5, cy=5.5)
        """
        cx = (self.cx + 0.5) * across - 0.5
        cy = (self.cy + 0.5) * down - 0.5
        return Camera(self.fx * across, self.fy * down, cx, cy)

    def mirror(self, width: int) -> "Camera":
        """The camera of the image of `width` columns whose left and right are mirrored.

        Example:
            >>> Camera(8, 8, 3.0, 2.5).mirror(10)
            Camera(fx=8, fy=8, cx=6.0, cy=2.5)
        """
        return Camera(self.fx, self.fy, width - 1 - self.cx, self.cy)

    def turn(self, degrees: float) -> "Camera":
        """The camera of the image that is turned clockwise around the pixel (0, 0).

        Exact for square pixels, and for quarter turns. Otherwise the turned image is skewed, by up
        to the difference of the focal lengths, and the skew is left out.

        Example:
            >>> turned = Camera(8.0, 4.0, 3.0, 0.0).turn(90)
            >>> [round(value, 9) for value in (turned.fx, turned.fy, turned.cx, turned.cy)]
            [4.0, 8.0, 0.0, 3.0]
        """
        cosine = math.cos(math.radians(degrees))
        sine = math.sin(math.radians(degrees))
        return Camera(
            self.fx * cosine**2 + self.fy * sine**2,
            self.fx * sine**2 + self.fy * cosine**2,
            cosine * self.cx - sine * self.cy,
            sine * self.cx + cosine * self.cy,
        )
