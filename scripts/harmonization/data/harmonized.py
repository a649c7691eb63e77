"""A harmonised scan as a BIDS derivative: what its files are called, and what they say."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harmonization.data.bids import write_dataset_description, write_gradients
from harmonization.files import write_json
from harmonization.images.coefficients import coefficient_orders, rish
from harmonization.images.nifti import write_image
from harmonization.images.spherical_harmonics import harmonics
from harmonization.plan.scans import entities_of

UNKNOWN = "unknown"  # label of a subject whose scan has no BIDS name
# What maps of either representation are called, and say that they are.
MODELS = {"fod": "csd", "signal": "sh"}
DESCRIPTIONS = {
    "fod": "Fibre orientation distribution by constrained spherical deconvolution",
    "signal": "Spherical harmonics of the diffusion-weighted signal of one shell",
}


@dataclass(frozen=True)
class Harmonized:
    """A harmonised scan.

    Parameters
    ----------
    coefficients : ndarray of float32, shape (x, y, z, c)
        0 outside the brain.
    brain : ndarray of bool, shape (x, y, z)
    affine : ndarray, shape (4, 4)
        Voxel to world, mm.
    settings : dict
        Conventions of the spherical harmonics, as in the card of a model.
    target : str
        The platform that the scan is harmonised to.
    provenance : dict
        Model and input, for the sidecars.
    """

    coefficients: np.ndarray
    brain: np.ndarray
    affine: np.ndarray
    settings: dict[str, Any]
    target: str
    provenance: dict[str, Any]

    def series(self, b0: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """A b=0 volume, then the signal in each of the `directions`, from harmonics of the signal.

        Parameters
        ----------
        b0 : ndarray, shape (x, y, z)
            By which the signal was divided, if the conventions say so.
        directions : ndarray, shape (n, 3)
            Unit vectors in world axes.

        Returns
        -------
        ndarray of float32, shape (x, y, z, 1 + n)
            Never negative, as magnitudes are; 0 outside the brain.
        """
        basis = harmonics(directions, self.settings["order"]).astype(np.float32)
        values = np.empty((int(self.brain.sum()), 1 + len(directions)), dtype=np.float32)
        values[:, 0] = b0[self.brain]
        values[:, 1:] = self.coefficients[self.brain] @ basis.T
        if self.settings["normalise_by_b0"]:
            values[:, 1:] *= values[:, :1]
        series = np.zeros((*self.brain.shape, values.shape[1]), dtype=np.float32)
        series[self.brain] = np.maximum(values, 0)
        return series


def place_of(folder: Path, dwi: Path) -> Path:
    """Folder and beginning of the names of what is made of a scan, in a BIDS data set.

    The entities are those of the scan, except for its description.
    """
    entities = {key: label for key, label in entities_of(dwi).items() if key != "desc"}
    if "sub" not in entities:
        entities = {"sub": UNKNOWN}
    for key in ("sub", "ses"):
        if key in entities:
            folder = folder / f"{key}-{entities[key]}"
    return folder / "dwi" / "_".join(f"{key}-{label}" for key, label in entities.items())


def write_harmonized(folder: Path, dwi: Path, scan: Harmonized) -> Path:
    """Write maps and brain mask of a harmonised scan as a BIDS derivative.

    Parameters
    ----------
    folder : Path
        Root of the data set.
    dwi : Path
        The scan before, from whose name that of the files is made.
    scan : Harmonized

    Returns
    -------
    Path
        Beginning of the names of a series of the same scan, see `write_series`.
    """
    place = place_of(folder, dwi)
    # BIDS labels are letters and digits only.
    label = "".join(letter for letter in scan.target if letter.isalnum())
    order, representation = scan.settings["order"], scan.settings["representation"]
    write_dataset_description(
        folder,
        f"Scan harmonised to {scan.target}",
        {"Name": "msp-harmonization", "Description": "scripts/harmonize.py"},
    )
    about = {
        "Model": {"Description": DESCRIPTIONS[representation], "Parameters": scan.settings},
        "Harmonization": scan.provenance,
        "SkullStripped": True,
    }

    def write_map(name: str, image: np.ndarray, description: str, **more: Any) -> None:
        stem = f"{place}_model-{MODELS[representation]}_param-{name}_desc-{label}_dwimap"
        write_image(f"{stem}.nii.gz", image, scan.affine)
        write_json(f"{stem}.json", {"Description": description, **more, **about})

    write_map(
        representation,
        scan.coefficients,
        f"{DESCRIPTIONS[representation]}, as predicted for {scan.target}",
        OrientationEncoding={
            "Type": "sh",
            "EncodingAxis": 3,
            "Reference": "xyz",
            "AntipodalSymmetry": True,
            "SphericalHarmonicBasis": "descoteaux",
            "SphericalHarmonicDegree": order,
        },
    )
    orders = np.unique(coefficient_orders(order)).tolist()
    energies = np.zeros((*scan.brain.shape, len(orders)), dtype=np.float32)
    energies[scan.brain] = rish(scan.coefficients[scan.brain], order)
    write_map(
        "rish",
        energies,
        "Rotation-invariant features: energy of each order of the harmonics, one volume each",
        Orders=orders,
    )
    write_image(f"{place}_desc-brain_mask.nii.gz", scan.brain.astype(np.uint8), scan.affine)
    return place.with_name(f"{place.name}_desc-{label}_dwi")


def write_series(
    stem: Path,
    series: np.ndarray,
    bvals: np.ndarray,
    directions: np.ndarray,
    scan: Harmonized,
    convention: str,
) -> None:
    """Write a predicted series, its gradient tables in a convention, and its sidecar.

    Parameters
    ----------
    stem : Path
        From `write_harmonized`.
    series : ndarray, shape (x, y, z, n)
    bvals : ndarray, shape (n,)
        s/mm2.
    directions : ndarray, shape (n, 3)
        Unit vectors in world axes; zero without diffusion weighting.
    scan : Harmonized
    convention : {'fsl', 'image'}
    """
    tables = (f"{stem}.{end}" for end in ("bval", "bvec"))
    write_image(f"{stem}.nii.gz", series, scan.affine)
    write_gradients(*tables, bvals, directions, scan.affine, convention)
    write_json(
        f"{stem}.json",
        {
            "Description": f"Signal as predicted for {scan.target}; b=0 is the scan's own mean",
            "Harmonization": scan.provenance,
            "SkullStripped": True,
        },
    )
