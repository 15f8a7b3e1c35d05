"""Taking the bumps from a mesh around a cloud of points.

Positions x of the vertices minimise, lengths in voxels and with s the spacing of the points,

    sum over points p of (n_p (x_p - p))^2 + 4 s^2 sum over vertices v of f_v |(L x)_v|^2 + sum over v of (1 - f_v) |x_v - x0_v|^2,

where x_p is the vertex nearest to p when the mesh came, at x0, n_p its normal and L the umbrella Laplacian. Waves shorter than about s go,
the surface passes between points with noise, and planes become flat; the points hold the surface, which Laplacian smoothing would shrink.
Parts so thin that the mean normal of the neighbourhood of a vertex nearly vanishes (f_v from 1 to 0: legs, struts, rims) keep their place.
"""

from __future__ import annotations

import numpy as np
import trimesh
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, cg
from scipy.spatial import cKDTree

_STIFFNESS = 4.0  # against bending, over the squared spacing of the points; samples are noisier than points of a surface
_STEPS = 20  # of the diffusion that makes mean normals of a neighbourhood; four or five edges wide
_STEPS_OF_NORMALS = 6  # of that for the direction in which points pull
_THIN = (0.2, 0.6)  # length of the mean normal below which vertices are left alone, and above which they are smoothed
_NEAR = 2.5  # voxels within which points pull


def smoothed(mesh: trimesh.Trimesh, points: np.ndarray, spacing: float) -> trimesh.Trimesh:
    """A mesh without bumps, see the module.

    Args:
        mesh: closed, edges about one voxel long, lengths in voxels.
        points: (n, 3) of the surface that it stands for.
        spacing: s, of the points, or a wider one where bumps are as wide.

    Returns:
        The same faces between other vertices.
    """
    start, size = np.asarray(mesh.vertices), len(mesh.vertices)
    near = _neighbours(mesh)
    normals = mean = np.asarray(mesh.vertex_normals)
    for step in range(_STEPS):
        mean = (mean + near @ mean) / 2
        if step == _STEPS_OF_NORMALS - 1:
            normals = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9)
    flat = np.clip((np.linalg.norm(mean, axis=1) - _THIN[0]) / (_THIN[1] - _THIN[0]), 0, 1)
    vertex = cKDTree(start).query(points)[1]
    close = np.abs(np.einsum("pi,pi->p", normals[vertex], points - start[vertex])) < _NEAR
    vertex, points = vertex[close], points[close]
    number = np.bincount(vertex, minlength=size)
    along = np.bincount(vertex, np.einsum("pi,pi->p", normals[vertex], points), size)
    laplacian = sparse.eye_array(size) - near
    bending = (laplacian.T @ sparse.diags_array(_STIFFNESS * spacing**2 * flat) @ laplacian).tocsr()
    held = 1e-3 + (1 - flat)[:, None]
    diagonal = bending.diagonal()[:, None] + held + number[:, None] * normals**2

    def product(x: np.ndarray) -> np.ndarray:
        x = x.reshape(size, 3)
        return (bending @ x + held * x + normals * (number * np.einsum("vi,vi->v", normals, x))[:, None]).ravel()

    def scaled(x: np.ndarray) -> np.ndarray:
        return x / diagonal.ravel()

    square = (3 * size, 3 * size)
    wanted = (normals * along[:, None] + held * start).ravel()
    operator, scale = LinearOperator(square, product, dtype=np.float64), LinearOperator(square, scaled, dtype=np.float64)
    found, _ = cg(operator, wanted, x0=start.ravel(), rtol=1e-4, maxiter=150, M=scale)  # enough for all but the longest waves
    return trimesh.Trimesh(found.reshape(size, 3), mesh.faces, process=False)


def _neighbours(mesh: trimesh.Trimesh) -> sparse.csr_array:
    """Matrix (v, v) that takes values at vertices to the mean of their neighbours."""
    size, edges = len(mesh.vertices), mesh.edges_unique
    both = np.vstack([edges, edges[:, ::-1]])
    adjacent = sparse.csr_array((np.ones(len(both)), (both[:, 0], both[:, 1])), (size, size))
    return (sparse.diags_array(1 / np.maximum(np.bincount(both[:, 0], minlength=size), 1)) @ adjacent).tocsr()
