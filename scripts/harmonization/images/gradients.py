"""Which volumes of a series belong together, by their b-values."""

from pathlib import Path

import numpy as np

from harmonization.files import InputError

B0_THRESHOLD = 50.0  # s/mm2; scanners write b=5 and the like for b=0
SHELL_TOLERANCE = 100.0  # s/mm2; the b-values of a shell jitter


def volumes_by_shell(bvals: np.ndarray) -> list[np.ndarray]:
    """Volume numbers of each shell, b=0 first; refuse a series without b=0.

    A shell ends where the next b-value is more than `SHELL_TOLERANCE` away.
    """
    order = np.argsort(bvals, kind="stable")
    zeros = int((bvals < B0_THRESHOLD).sum())
    if not zeros:
        raise InputError(f"has no volume with b below {B0_THRESHOLD:g}; add one")
    gaps = np.flatnonzero(np.diff(bvals[order[zeros:]]) > SHELL_TOLERANCE) + 1
    return [np.sort(shell) for shell in np.split(order, [zeros, *(zeros + gaps)]) if len(shell)]


def volumes_of_shell(
    bvals: np.ndarray, shell: float, path: str | Path, advice: str = ""
) -> np.ndarray:
    """Volumes of the shell at b=`shell`, (n,) of bool.

    Without any, the error names `path` and ends with the `advice`, by default to change the run's.
    """
    chosen = (np.abs(bvals - shell) <= SHELL_TOLERANCE) & (bvals >= B0_THRESHOLD)
    if not chosen.any():
        found = sorted({round(float(b) / 100) * 100 for b in bvals if b >= B0_THRESHOLD})
        raise InputError(
            f"{path}: no volume at b={shell:g}; its shells are {found}: "
            f"{advice or 'change spherical_harmonics.shell'}"
        )
    return chosen


def has_signal(series: np.ndarray, b0: np.ndarray) -> np.ndarray:
    """Voxels (...) of bool with any signal, both at b=0 and with diffusion weighting.

    Parameters
    ----------
    series : ndarray, shape (..., n)
    b0 : ndarray of bool, shape (n,)
        Volumes without diffusion weighting.
    """
    return (series[..., b0] != 0).any(axis=-1) & (series[..., ~b0] != 0).any(axis=-1)
