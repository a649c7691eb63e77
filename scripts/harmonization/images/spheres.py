"""Evenly spread directions."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np


def sphere(name: str) -> np.ndarray:
    """Unit vectors (n, 3) of one of dipy's spheres, such as ``repulsion100``.

    They are read from dipy's files: its own loader would import pandas and pytest, which takes
    longer than most jobs.
    """
    dipy = Path(find_spec("dipy").origin).parent
    with np.load(dipy / f"data/files/{name}.npz", allow_pickle=False) as arrays:
        vertices = arrays["vertices"].astype(float)
    return vertices / np.linalg.norm(vertices, axis=1, keepdims=True)  # stored as float32


def half_sphere(name: str) -> np.ndarray:
    """One of each pair of opposite unit vectors (n / 2, 3) of a symmetric sphere."""
    vertices = sphere(name)
    # Rounding may move a vertex off the equator.
    x, y, z = np.where(np.abs(vertices) < 1e-9, 0, vertices).T
    return vertices[(z > 0) | ((z == 0) & ((y > 0) | ((y == 0) & (x > 0))))]
