"""Predict a target from a subject's source: each coefficient times its gain."""

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import gaussian_filter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gains", type=Path, required=True, help="from fit.py")
    parser.add_argument("--source", type=Path, required=True, help="coefficients (x, y, z, c)")
    parser.add_argument("--mask", type=Path, required=True, help="brain of the source")
    parser.add_argument("--scale", type=int, required=True, help="parts of a voxel's edge")
    parser.add_argument("--smoothing", type=float, required=True, help="voxels")
    parser.add_argument("--output", type=Path, required=True, help="image on the target's grid")
    args = parser.parse_args()

    source, mask = nib.load(args.source), nib.load(args.mask).get_fdata() > 0
    image = source.get_fdata(dtype=np.float32) * mask[..., None]
    image = gaussian_filter(image, (args.smoothing, args.smoothing, args.smoothing, 0))
    predicted = image * np.loadtxt(args.gains) * mask[..., None]
    for axis in range(3):
        predicted = predicted.repeat(args.scale, axis=axis)
    affine = split(source.affine, args.scale)
    nib.save(nib.Nifti1Image(predicted.astype(np.float32), affine), args.output)


def split(affine: np.ndarray, scale: int) -> np.ndarray:
    """Affine of the grid whose voxels are the parts of the source's voxels."""
    to_source = np.diag([1 / scale, 1 / scale, 1 / scale, 1.0])
    to_source[:3, 3] = (1 / scale - 1) / 2
    return affine @ to_source


if __name__ == "__main__":
    main()
