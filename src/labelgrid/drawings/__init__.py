"""Drawings as SVG and PNG: charts, points, bars, grids and sheets of pictures. Loads no torch."""
