"""The application: which projects it opens."""

import pytest

from labelgrid.basics.errors import LabelgridError
from labelgrid.web.app import build_app


def test_a_folder_without_a_project_is_refused_at_once(tmp_path):
    with pytest.raises(LabelgridError):
        build_app(tmp_path)
