"""The layers of a cell: its label first, and those that are not there are said."""

import pytest

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.errors import LedgerError
from labelgrid.ledger.grid import Cell
from labelgrid.web.layers import layer_of, layers_of
from labelgrid.web.predictions import Predictions
from tests.pages import cell_in, labelled_project, take_back


def test_a_label_is_a_layer_while_it_is_there(tmp_path):
    folder = labelled_project(tmp_path, n=5)
    name = cell_in(folder, "labelled", "depth")
    predictions = Predictions()
    with ProjectReader.open(folder) as project:
        cell = project.cell(name).key
        layer = layer_of(project, cell, "label", predictions)
        assert layer.read().size == project.image_size(cell.image_id)
        take_back(folder, name)
        assert layers_of(project, cell, predictions) == []
        with pytest.raises(LedgerError, match="has no label"):
            layer_of(project, cell, "label", predictions)
        with pytest.raises(LedgerError, match="has no 'x'"):
            layer_of(project, cell, "x", predictions)
        with pytest.raises(LedgerError, match="no cell"):
            layer_of(project, Cell("nothing", "depth"), "label", predictions)
