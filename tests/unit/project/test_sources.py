"""Laws of what a project shows of its images beside their pixels and labels."""

from pathlib import Path

from labelgrid.basics.camera import Camera
from labelgrid.data.dataset import camera_of, size_of
from labelgrid.data.layouts import folder
from labelgrid.data.project_source import ProjectSource
from labelgrid.project.sources import OracleSource, source_of
from tests.campaigns import make_project


def test_a_simulated_campaign_knows_the_cameras_of_its_data_set(made):
    data = made(n=1, tasks=())
    (data.root / "camera.toml").write_text("field_of_view = 60.0\n")
    source = OracleSource(folder.build(data.root), {})
    assert camera_of(source, data.names[0], (30, 40)) == Camera.of_view(60.0, (30, 40))
    assert size_of(source, data.names[0]) == source.image(data.names[0]).shape[:2]


def test_a_project_knows_the_cameras_of_its_own_file_alone(made, tmp_path: Path):
    data = made(n=1, tasks=())
    (data.root / "camera.toml").write_text("field_of_view = 60.0\n")
    assert camera_of(ProjectSource({}, {}), data.names[0], (30, 40)) is None
    with make_project(tmp_path / "flat", data) as project:
        source = source_of(project)
        assert camera_of(source, data.names[0], (30, 40)) is None
        assert size_of(source, data.names[0]) == source.image(data.names[0]).shape[:2]
        (project.folder / "camera.toml").write_text("field_of_view = 50.0\n")
        camera = camera_of(source_of(project), data.names[0], (30, 40))
        assert camera == Camera.of_view(50.0, (30, 40))
