"""The folder is the registry."""

import pytest

from labelgrid import plugins
from labelgrid.errors import PluginError


@pytest.mark.parametrize("folder", list(plugins.FOLDERS))
def test_every_plug_in_of_a_folder_is_found_described_and_built_from_its_file(folder):
    described = plugins.describe(folder)
    assert list(described) == plugins.names(folder)
    for name, line in described.items():
        assert line and callable(plugins.resolve(folder, name))


def test_a_new_file_is_a_plug_in_at_once(tmp_path, monkeypatch):
    import labelgrid.select as package

    (tmp_path / "surprise.py").write_text('"""What is new."""\n\n\ndef build(options):\n    return options\n')
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    assert "surprise" in plugins.names("select")
    assert plugins.resolve("select", "surprise")(3) == 3


def test_an_unknown_name_lists_the_folder_and_the_nearest_match():
    with pytest.raises(PluginError) as caught:
        plugins.resolve("select", "randm_cells")
    assert "There is no select plug-in 'randm_cells'" in str(caught.value)
    assert "Did you mean 'random_cells'?" in str(caught.value) and "partal" in str(caught.value)


def test_outside_code_goes_by_module_and_object(tmp_path, monkeypatch):
    (tmp_path / "mine_of_a_test.py").write_text("class Thing:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert plugins.resolve("nets", "mine_of_a_test:Thing").__name__ == "Thing"
    for name in ("mine_of_a_test:Nothing", "no_such_module_at_all:build"):
        with pytest.raises(PluginError, match="cannot be imported"):
            plugins.resolve("nets", name)


def test_every_shipped_recipe_has_a_first_line():
    assert {"small", "small-shared-heads", "partal-nyud"} <= plugins.recipes().keys()
    assert all(line[0] != "#" and line[-1] == "." for line in plugins.recipes().values())
