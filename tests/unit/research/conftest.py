"""The finished study that the analyses read."""

from tests.unit.simulation.conftest import study as study
