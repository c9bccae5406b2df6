"""The camera that a relation needs."""

import pytest

from labelgrid.basics.camera import Camera
from labelgrid.basics.errors import LabelError
from labelgrid.relations.relation import known_camera


def test_an_unknown_camera_is_refused_and_a_known_one_is_taken() -> None:
    camera = Camera(1.0, 1.0, 0.0, 0.0)
    assert known_camera(camera, "Depth follows from disparity") is camera
    with pytest.raises(LabelError, match=r"(?s)from disparity through .*unknown.*camera\.toml"):
        known_camera(None, "Depth follows from disparity")
