"""Laws of what a project shows of its images beside their pixels and labels."""

from labelgrid.camera import Camera
from labelgrid.data.dataset import camera_of
from labelgrid.data.layouts import folder
from labelgrid.project.sources import OracleSource, ProjectSource


def test_a_simulated_campaign_knows_the_cameras_of_its_data_set_and_a_project_none(made):
    data = made(n=1, tasks=())
    (data.root / "camera.toml").write_text("field_of_view = 60.0\n")
    source = OracleSource(folder.build(data.root), {})
    assert camera_of(source, data.names[0], (30, 40)) == Camera.of_view(60.0, (30, 40))
    assert camera_of(ProjectSource({}, {}), data.names[0], (30, 40)) is None
