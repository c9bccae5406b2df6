"""A project whose fit derives normals from depth through the cameras of its images."""

import json
import shutil
from pathlib import Path

from tests.e2e.commands import done, refused, status
from tests.support import Made


def test_a_fit_derives_normals_through_camera_toml_and_is_refused_without_it(
    data: Made, tmp_path: Path
) -> None:
    flat = tmp_path / "flat"
    recipe = tmp_path / "derived.toml"
    recipe.write_text(
        f'extends = "{data.root / "tiny.toml"}"\n[relations.depth_normals]\ntrust = 1.0\n'
    )
    words = ["--task", "depth", "--task", "normals", "--recipe", recipe]
    done("init", flat, "--images", data.images, *words, "--holdout", 2)
    shutil.copytree(data.labels / "depth", tmp_path / "labels" / "depth")
    done("import", flat, tmp_path / "labels")
    assert "the relation 'depth_normals' needs it" in done("status", flat).out

    error = " ".join(refused(flat, "fit", flat).split())
    assert "that of no training image is known; 8 are needed, such as that of '" in error
    assert f"{flat}/camera.toml" in error and error.endswith("Nothing was trained.")

    (flat / "camera.toml").write_text('table = "cameras.csv"\n')
    half = data.names[:5]
    (flat / "cameras.csv").write_text(
        "image,field_of_view\n" + "".join(f"{name},66\n" for name in half)
    )
    assert "camera: known for 5 of 10 images." in done("status", flat).out
    said = " ".join(done("fit", flat).err.split())
    assert (
        said.count("is unknown, such as that of '") == 1
        and "'normals' follows from 'depth' in" in said
    )

    (flat / "camera.toml").write_text("field_of_view = 66.0\n")
    assert "camera: 66° across for all images." in done("status", flat).out
    again = done("fit", flat)
    assert "restarting the training" in again.err and "unknown" not in again.err
    assert status(flat)["camera"]["known"] == 10
    trained = json.loads((flat / "rounds" / "0001" / "fit.json").read_text())
    assert trained["trained"] == ["depth", "normals"] and trained["labels"] == {"depth": 8}
