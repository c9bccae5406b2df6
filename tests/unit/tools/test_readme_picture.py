import json

import numpy as np

from labelgrid.testing.scenes import make_dataset
from tools import readme_picture
from tools.readme_picture import BOUGHT, FOLLOWS, NEXT, TASKS, campaign, draw


def rooms(folder):
    """A made data set, as `labelgrid scenes` lays it out."""
    make_dataset(folder, n=8, tasks=tuple(TASKS), extension=".png")
    classes = json.dumps(["wall", "floor", "box", "ball"])
    (folder / "tasks.toml").write_text(f"[semseg]\nclasses = {classes}\n")
    (folder / "camera.toml").write_text("field_of_view = 60.0\n")
    return folder


def test_the_picture_shows_cells_that_are_bought_derived_and_bought_next(tmp_path) -> None:
    made = rooms(tmp_path / "rooms")
    with campaign(made, tmp_path) as project:
        colours = {tuple(colour) for colour in np.array(draw(project)).reshape(-1, 3)}
    for colour, _ in (BOUGHT, FOLLOWS, NEXT):
        assert tuple(bytes.fromhex(colour[1:])) in colours


def test_the_picture_is_written(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(readme_picture, "ROOT", tmp_path)
    monkeypatch.setattr(readme_picture, "PICTURE", tmp_path / "grid.png")
    readme_picture.main(rooms(tmp_path / "rooms"))
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
