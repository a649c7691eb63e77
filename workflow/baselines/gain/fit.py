"""Fit a gain for each coefficient to the training subjects of a fold."""

import argparse
import json
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import gaussian_filter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="of the fold")
    parser.add_argument("--target", required=True, help="platform")
    parser.add_argument("--smoothing", type=float, required=True, help="voxels")
    parser.add_argument("--output", type=Path, required=True, help="gains, one a line")
    args = parser.parse_args()

    fold = json.loads(args.manifest.read_text(encoding="utf-8"))
    source, target = (
        [
            voxels(args.manifest.parent, fold["files"][subject][platform], smoothing)
            for subject in fold["train"]
        ]
        for platform, smoothing in ((fold["source"], args.smoothing), (args.target, 0))
    )
    gains = np.concatenate(target).std(axis=0) / np.concatenate(source).std(axis=0)
    np.savetxt(args.output, gains)


def voxels(folder: Path, files: dict, smoothing: float) -> np.ndarray:
    """Coefficients in the brain of a scan, (n, c)."""
    image = nib.load(folder / files["sh"]["path"]).get_fdata(dtype=np.float32)
    mask = nib.load(folder / files["mask"]["path"]).get_fdata() > 0
    return gaussian_filter(image, (smoothing, smoothing, smoothing, 0))[mask]


if __name__ == "__main__":
    main()
