"""How well closed surfaces are put around clouds: ``python benchmarks/quality_meshing.py [--meshes FOLDER] [--points 2048]``.

Clouds are drawn from procedural shapes, two of every class, and from the first mesh of every class of FOLDER; shapes are scaled to the unit
sphere; with ``--noise 0.01`` the points get normal noise of that deviation in every coordinate. Methods whose package is not installed
(open3d, pymeshlab) are left out. Poisson needs normals: "estimated" ones come from 12 neighbours and are oriented by the method's own
package, "true" ones are those of the surface and no sampler has them.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import trimesh
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from molgen.shapes.points import sample
from molgen.shapes.procedural import MAKERS, generate
from molgen.shapes.surface import reconstruct, spacing

Method = Callable[[np.ndarray, np.ndarray], trimesh.Trimesh]
DENSE = 40_000


def closing(points: np.ndarray, normals: np.ndarray) -> trimesh.Trimesh:
    return reconstruct(points)


def closing_alone(points: np.ndarray, normals: np.ndarray) -> trimesh.Trimesh:
    return reconstruct(points, smooth=False)


def density(points: np.ndarray, normals: np.ndarray) -> trimesh.Trimesh:
    low, width = points.min(0), float(np.ptp(points, axis=0).max()) / 96
    inner = (points - low) / width + 6
    field = np.zeros(tuple((np.ceil(np.ptp(inner, axis=0)) + 13).astype(int)))
    np.add.at(field, tuple(np.rint(inner).astype(int).T), 1)
    field = ndimage.gaussian_filter(field, 0.83 * spacing(inner))
    level = np.percentile(ndimage.map_coordinates(field, inner.T, order=1), 5) / 2
    vertices, faces, _, _ = marching_cubes(field, level, gradient_direction="descent")
    return trimesh.Trimesh((vertices - 6) * width + low, faces)


def open3d_cloud(points: np.ndarray, normals: np.ndarray | None = None):
    import open3d

    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
    if normals is not None:
        cloud.normals = open3d.utility.Vector3dVector(normals)
    return open3d.geometry.TriangleMesh, cloud


def alpha(points: np.ndarray, normals: np.ndarray) -> trimesh.Trimesh:
    kind, cloud = open3d_cloud(points)
    found = kind.create_from_point_cloud_alpha_shape(cloud, 2.76 * spacing(points))
    return trimesh.Trimesh(np.asarray(found.vertices), np.asarray(found.triangles))


def poisson_true(points: np.ndarray, normals: np.ndarray) -> trimesh.Trimesh:
    kind, cloud = open3d_cloud(points, normals)
    found, _ = kind.create_from_point_cloud_poisson(cloud, depth=7, n_threads=1)
    return trimesh.Trimesh(np.asarray(found.vertices), np.asarray(found.triangles))


def poisson_open3d(points: np.ndarray, normals: np.ndarray) -> trimesh.Trimesh:
    import open3d

    _, cloud = open3d_cloud(points)
    cloud.estimate_normals(open3d.geometry.KDTreeSearchParamKNN(12))
    cloud.orient_normals_consistent_tangent_plane(12)
    return poisson_true(points, np.asarray(cloud.normals))


def poisson_pymeshlab(points: np.ndarray, normals: np.ndarray) -> trimesh.Trimesh:
    import pymeshlab

    meshes = pymeshlab.MeshSet()
    meshes.add_mesh(pymeshlab.Mesh(vertex_matrix=points))
    meshes.compute_normal_for_point_clouds(k=12)
    meshes.generate_surface_reconstruction_screened_poisson(depth=7, threads=1)
    found = meshes.current_mesh()
    return trimesh.Trimesh(found.vertex_matrix(), found.face_matrix())


METHODS: dict[str, Method] = {
    "closing (molgen)": closing,
    "closing without smoothing": closing_alone,
    "marching cubes of a density": density,
    "alpha shape (open3d)": alpha,
    "screened Poisson, estimated normals (open3d)": poisson_open3d,
    "screened Poisson, estimated normals (pymeshlab)": poisson_pymeshlab,
    "screened Poisson, true normals (open3d)": poisson_true,
}


def score(method: Method, mesh: trimesh.Trimesh, points: int, noise: float) -> list[float]:
    """Watertight, right Euler number, distances there and back and their 99th percentiles, angle of normals (degrees), error of volume, s.

    The angle is the median over points of the made surface, to the normal of the nearest point of the true one.
    """
    drawn = sample(mesh, points, np.random.default_rng(0))
    true = sample(mesh, DENSE, np.random.default_rng(1))
    cloud = (drawn.points - drawn.centre) / drawn.radius + np.random.default_rng(3).normal(size=(points, 3)) * noise
    start = time.process_time()
    found = method(cloud, drawn.normals)
    seconds = time.process_time() - start
    made = sample(found, DENSE, np.random.default_rng(2))
    goal = (true.points - drawn.centre) / drawn.radius
    (there, near), back = cKDTree(goal).query(made.points), cKDTree(made.points).query(goal)[0]
    cosine = np.einsum("pi,pi->p", made.normals, true.normals[near]).clip(-1, 1)
    volume = mesh.volume / drawn.radius**3
    tails = np.percentile(there, 99), np.percentile(back, 99)
    same, angle = found.euler_number == mesh.euler_number, np.degrees(np.median(np.arccos(cosine)))
    return [found.is_watertight, same, there.mean(), back.mean(), *tails, angle, abs(found.volume - volume) / volume, seconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--meshes", type=Path, help="folder of watertight meshes, one folder for each class")
    parser.add_argument("--points", type=int, default=2048)
    parser.add_argument("--noise", type=float, default=0.0, help="deviation of noise on the points, in units of the sphere")
    options = parser.parse_args()
    sets = {"procedural": [generate(kind, np.random.default_rng([3, k])).mesh for kind in MAKERS for k in range(2)]}
    if options.meshes:
        files = [sorted(folder.glob("*.ply"))[0] for folder in sorted(options.meshes.iterdir()) if any(folder.glob("*.ply"))]
        sets["real"] = [trimesh.load_mesh(file) for file in files]
    print("| shapes | method | closed | Euler number right | to truth | from truth | 99 % | 99 % | normals off | volume off | s |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name, meshes in sets.items():
        for title, method in METHODS.items():
            try:
                rows = np.array([score(method, mesh, options.points, options.noise) for mesh in meshes], float)
            except ModuleNotFoundError:
                continue
            mean = rows.mean(0)
            lengths = " | ".join(f"{value:.4f}" for value in mean[2:6])
            shares = f"{mean[0]:.0%} | {mean[1]:.0%}"
            ends = f"{mean[6]:.1f}° | {np.median(rows[:, 7]):.1%} | {mean[8]:.2f}"
            print(f"| {name} ({len(meshes)}) | {title} | {shares} | {lengths} | {ends} |")


if __name__ == "__main__":
    main()
