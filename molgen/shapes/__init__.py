"""Shapes: fields, data sets, point clouds and meshes, metrics. The only part of molgen that knows trimesh."""
