"""Do gradient directions fit the image? Tables with a flipped or exchanged axis are common.

Both tests use the orientation field of a scan, the part of order 2 of its signal, and compare the
directions as they were read with every flip and exchange of the table's axes.
"""

import itertools

import numpy as np

USUAL_SHELL = 1000.0  # s/mm2; the shell nearest to it shows fibres best
COEFFICIENTS = 6  # of a quadratic form: a shell with fewer directions cannot show orientations
CONFIDENCE = 4.0  # standard errors
IMPROVEMENT = 0.02  # of the change along fibres that another reading must save
PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))

# As read first. The opposite of a direction is the same direction, so four flips differ.
READINGS = tuple(
    np.eye(3)[list(order)] * np.array(signs)[:, None]
    for order in itertools.permutations(range(3))
    for signs in ((1, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1))
)


def name_of(reading: np.ndarray) -> str:
    """How to change a table so that it is read as `reading`, one of `READINGS`."""
    order = np.abs(reading).argmax(axis=1)
    changes = []
    if (order != np.arange(3)).any():
        changes.append(f"its axes x, y, z taken from {', '.join('xyz'[axis] for axis in order)}")
    changes += [f"{'xyz'[row]} reversed" for row in range(3) if reading[row].sum() < 0]
    return " and ".join(changes) or "no change"


def orientation_field(
    dwi: np.ndarray, mask: np.ndarray, bvals: np.ndarray, directions: np.ndarray
) -> np.ndarray | None:
    """Part of order 2 of a scan's attenuation, a traceless symmetric tensor in each voxel.

    Parameters
    ----------
    dwi : ndarray, shape (x, y, z, n)
    mask : ndarray, shape (x, y, z)
        Where to compute it; it is 0 elsewhere.
    bvals : ndarray, shape (n,)
        s/mm2.
    directions : ndarray, shape (n, 3)
        Unit vectors in world axes; zero in volumes without diffusion weighting.

    Returns
    -------
    ndarray of float32, shape (x, y, z, 3, 3), or None
        In world axes, largest along the fibres. None if there is no shell with enough directions.
    """
    weighted = (directions != 0).any(axis=1)
    if not weighted.any() or weighted.all():
        return None
    nearest = bvals[weighted][np.abs(bvals[weighted] - USUAL_SHELL).argmin()]
    shell = weighted & (np.abs(bvals - nearest) <= 0.1 * nearest)
    if shell.sum() < COEFFICIENTS:
        return None
    inside = mask > 0
    b0 = dwi[..., ~weighted][inside].mean(axis=-1)
    floor = max(1e-6 * float(b0.max(initial=0)), 1e-12)
    lost = 1 - np.clip(dwi[..., shell][inside] / np.maximum(b0, floor)[:, None], 0, 1)
    quadratic = np.stack(
        [(1 + (i != j)) * directions[shell, i] * directions[shell, j] for i, j in PAIRS], axis=1
    )
    form = lost @ np.linalg.pinv(quadratic).T.astype(np.float32)
    field = np.zeros((*mask.shape, 3, 3), dtype=np.float32)
    for number, (i, j) in enumerate(PAIRS):
        field[inside, i, j] = field[inside, j, i] = form[:, number]
    trace = np.trace(field, axis1=-2, axis2=-1)
    return field - trace[..., None, None] / 3 * np.eye(3, dtype=np.float32)


def misread_by_itself(
    field: np.ndarray, mask: np.ndarray, affine: np.ndarray, table_axes: np.ndarray
) -> np.ndarray | None:
    """Reading of the table under which fibres continue better than as it was read, or None.

    Fibres are continuous, so the orientation field changes least along the fibres themselves. With
    a flipped table, the direction that is thought to lie along the fibre crosses it.

    Parameters
    ----------
    field : ndarray, shape (x, y, z, 3, 3)
        From `orientation_field`.
    mask : ndarray, shape (x, y, z)
    affine : ndarray, shape (4, 4)
        Voxel to world, mm.
    table_axes : ndarray, shape (3, 3)
        Rotation from the axes of the table to world axes.

    Returns
    -------
    ndarray, shape (3, 3), or None
        One of `READINGS`, only if the difference is beyond doubt.
    """
    inside = mask > 0
    for axis in range(3):
        inside &= np.roll(mask > 0, 1, axis) & np.roll(mask > 0, -1, axis)
    anisotropy = np.linalg.norm(field, axis=(-2, -1))
    if min(mask.shape) < 3 or not inside.any():
        return None
    fibres = inside & (anisotropy >= np.median(anisotropy[inside]))
    for axis in range(3):  # the differences below must not reach around the image's edge
        edge = [slice(None)] * 3
        edge[axis] = [0, -1]
        fibres[tuple(edge)] = False
    if fibres.sum() < 2:
        return None
    along = np.linalg.eigh(field[fibres])[1][:, :, -1] @ table_axes
    voxels = np.argwhere(fibres)
    steps = np.eye(3, dtype=int)
    by_voxel = [
        (field[tuple((voxels + step).T)] - field[tuple((voxels - step).T)]) / 2 for step in steps
    ]
    by_table = np.einsum(
        "anij,at->tnij", np.stack(by_voxel), np.linalg.inv(affine[:3, :3]) @ table_axes
    )
    changes = np.einsum("anij,bnij->nab", by_table, by_table)
    costs = np.stack(
        [np.einsum("na,nab,nb->n", turned, changes, turned) for turned in _turned(along)], axis=1
    )
    means = costs.mean(axis=0)
    best = int(means.argmin())
    saved = costs[:, 0] - costs[:, best]
    doubt = saved.std() / np.sqrt(len(saved))
    if best == 0 or saved.mean() <= max(CONFIDENCE * doubt, IMPROVEMENT * means[0]):
        return None
    return READINGS[best]


def _turned(directions: np.ndarray) -> list[np.ndarray]:
    return [directions @ reading.T for reading in READINGS]


def agreement(fixed: np.ndarray, moving: np.ndarray, table_axes: np.ndarray) -> np.ndarray:
    """Correlation of two orientation fields under every one of `READINGS` of the moving scan.

    Parameters
    ----------
    fixed, moving : ndarray, shape (n, 3, 3)
        Fields at the same points of one head, see `orientation_field`.
    table_axes : ndarray, shape (3, 3)
        Rotation from the axes of the moving scan's table to the world axes of the fields.

    Returns
    -------
    ndarray, shape (24,)
    """
    fixed, moving = (table_axes.T @ field @ table_axes for field in (fixed, moving))
    flat = fixed.ravel()
    return np.array(
        [np.corrcoef(flat, (r @ moving @ r.T).ravel())[0, 1] for r in READINGS], dtype=float
    )
