"""Voxel grids in world space: splitting, and turning directions between them."""

from typing import Any

import nibabel as nib
import numpy as np

VOXEL_TOLERANCE = 0.01  # of a voxel's edge


def canonical(image: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reorder the voxels of an image (x, y, z, ...) to run to the right, the front and the top.

    No value changes, and every voxel keeps its place in the world.
    """
    stored = nib.io_orientation(affine)
    moved = affine @ nib.orientations.inv_ornt_aff(stored, image.shape[:3])
    return np.ascontiguousarray(nib.apply_orientation(image, stored)), moved


def rotate_directions(directions: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Turn gradient `directions` (n, 3) of the moving scan into the axes of the fixed one.

    Only the rotation in the affine `transform` (fixed to moving world) turns them: scale and shear
    are errors of the scanner, not turns of the head (Leemans & Jones 2009).
    """
    return directions @ rotation_in(transform)


def rotation_in(transform: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) in the affine `transform` (4, 4), by polar decomposition."""
    left, _, right = np.linalg.svd(transform[:3, :3])
    return left @ right


def split_grid(
    shape: tuple[int, ...], affine: np.ndarray, r: int
) -> tuple[tuple[int, ...], np.ndarray]:
    """Grid that splits each voxel into r^3: the first new centre lies *inside* the old voxel.

    For r=2 this centre is at index -0.25 of the old grid, where a pixel shuffle puts it.
    """
    split = affine.copy()
    split[:3, :3] /= r
    split[:3, 3] = affine[:3, :3] @ np.full(3, (1 - r) / (2 * r)) + affine[:3, 3]
    return tuple(n * r for n in shape), split


def split_mask(mask: np.ndarray, r: int) -> np.ndarray:
    """Split every voxel of a mask into r^3, (x r, y r, z r) of bool."""
    return np.kron(mask > 0, np.ones((r, r, r), dtype=bool))


def parts_to_channels(image: np.ndarray, r: int) -> np.ndarray:
    """The r^3 parts of each voxel as channels, (x, y, z, r^3 c) from (x r, y r, z r, c)."""
    x, y, z, c = image.shape
    parts = image.reshape(x // r, r, y // r, r, z // r, r, c).transpose(0, 2, 4, 1, 3, 5, 6)
    return parts.reshape(x // r, y // r, z // r, r**3 * c)


def channels_to_parts(image: np.ndarray, r: int) -> np.ndarray:
    """Undo `parts_to_channels`."""
    x, y, z, n = image.shape
    parts = image.reshape(x, y, z, r, r, r, n // r**3).transpose(0, 3, 1, 4, 2, 5, 6)
    return parts.reshape(x * r, y * r, z * r, n // r**3)


def voxel_index(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Voxel coordinates (3, n) of world `points` (n, 3)."""
    inverse = np.linalg.inv(affine)
    return inverse[:3, :3] @ points.T + inverse[:3, 3:]


def in_view(shape: tuple[int, ...], affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether world `points` (n, 3) lie between the voxel centres of an image, (n,) of bool."""
    index, last = voxel_index(affine, points), np.array(shape[:3])[:, None] - 1
    rounding = 1e-3  # voxels
    return ((index >= -rounding) & (index <= last + rounding)).all(axis=0)


def layout(affine: np.ndarray) -> dict[str, Any]:
    """How an image is stored, which its shape does not tell, ready for JSON.

    Returns
    -------
    dict
        ``voxel_size``, mm, and ``axes``, to where the voxels run, such as LAS: left, front, up.
    """
    sizes = nib.affines.voxel_sizes(affine).round(4).tolist()
    return {"voxel_size": sizes, "axes": "".join(nib.aff2axcodes(affine))}


def layouts_differ(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """Say in what an image is stored otherwise than others, see `layout`; else nothing."""
    ratios = np.array(found["voxel_size"]) / wanted["voxel_size"]
    if (np.abs(ratios - 1) > VOXEL_TOLERANCE).any():
        sizes = [" x ".join(f"{mm:.3g}" for mm in x["voxel_size"]) for x in (found, wanted)]
        return "its voxels are {} mm, not {}".format(*sizes)
    if found["axes"] != wanted["axes"]:
        return f"its voxels run to {found['axes']}, not to {wanted['axes']}"
    return ""


def other_layouts(layouts: dict[str, dict[str, Any]]) -> list[str]:
    """Problems with scans of the source that are stored otherwise than the first."""
    return [
        f"{path}: {difference} as in {first}; networks see neighbours, so resample or reorient the "
        "scans of the source alike"
        for first in list(layouts)[:1]
        for path, found in layouts.items()
        if (difference := layouts_differ(found, layouts[first]))
    ]


def bounding_box(mask: np.ndarray) -> tuple[slice, slice, slice]:
    """Slices of the smallest box around the voxels in `mask` (x, y, z), of which there is one."""
    inside = np.argwhere(mask)
    low, high = inside.min(axis=0), inside.max(axis=0) + 1
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def cut(
    image: np.ndarray, affine: np.ndarray, box: tuple[slice, slice, slice]
) -> tuple[np.ndarray, np.ndarray]:
    """Cut an image (x, y, z, ...) to a box; every voxel keeps its place in the world."""
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ [side.start for side in box]
    return image[box], moved


def uncut(
    image: np.ndarray, box: tuple[slice, slice, slice], shape: tuple[int, ...], r: int = 1
) -> np.ndarray:
    """Undo `cut`; 0 beyond the box.

    Parameters
    ----------
    image : ndarray, shape (i r, j r, k r, ...)
        On the split of the cut's voxels into r^3.
    box : tuple of slice
        Of the cut, in voxels of the whole grid.
    shape : tuple of int
        Of the whole grid, (x, y, z).
    r : int

    Returns
    -------
    ndarray, shape (x r, y r, z r, ...)
        On the split of the whole grid's voxels, see `split_grid`.
    """
    whole = np.zeros((*(n * r for n in shape), *image.shape[3:]), dtype=image.dtype)
    whole[tuple(slice(side.start * r, side.stop * r) for side in box)] = image
    return whole


def points_of_mask(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """World coordinates (n, 3) of the voxels in `mask`, in C order."""
    return np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]


def transform_points(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply a (4, 4) affine to `points` (n, 3)."""
    return points @ transform[:3, :3].T + transform[:3, 3]
