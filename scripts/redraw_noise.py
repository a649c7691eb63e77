"""Average a target scan of the phantom over further draws of its noise: what it is expected to be.

The mean carries a rest of the noise; its variance is written beside it.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from harmonization.data.bids import read_series
from harmonization.data.preprocessing import denoise
from harmonization.files import blamed_on, run_command
from harmonization.images.coefficients import mean_by_order
from harmonization.images.gradients import B0_THRESHOLD, volumes_of_shell
from harmonization.images.nifti import read_image, read_mask, write_image
from harmonization.images.scan import coefficients_on_grid, crop_to_brain
from harmonization.phantom.scanner import add_noise
from harmonization.seeds import generator_of

DRAWS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True, help="seed of the phantom")
    parser.add_argument("--subject", required=True)
    parser.add_argument("--platform", required=True)
    for name in ("dwi", "bval", "bvec"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="of the scan without noise")
    parser.add_argument("--noise-level", type=Path, required=True)
    parser.add_argument("--mask", type=Path, required=True, help="of the scan")
    parser.add_argument("--grid", type=Path, required=True, help="brain mask of the source scan")
    parser.add_argument("--transform", type=Path, required=True, help="source to scan")
    parser.add_argument("--scale", type=int, required=True, help="see fit_sh, as the two below")
    parser.add_argument("--interpolation", choices=["linear", "cubic"], required=True)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--denoise", action="store_true", help="like the scan itself")
    parser.add_argument("--expected", type=Path, required=True, help="written: the mean")
    parser.add_argument("--variance", type=Path, required=True, help="written: its mean by order")
    args = parser.parse_args()

    signal, affine, bvals, directions = read_series(args.dwi, args.bval, args.bvec)
    if not args.denoise:  # other shells would only take time
        used = volumes_of_shell(bvals, args.settings["shell"], args.bval) | (bvals < B0_THRESHOLD)
        signal, bvals, directions = signal[..., used], bvals[used], directions[used]
    level, _ = read_image(args.noise_level)
    scan_mask, _ = read_mask(args.mask)
    with blamed_on(args.grid):
        grid = crop_to_brain(*read_mask(args.grid))
    draws = []
    for number in range(DRAWS):
        noisy = signal.copy()
        rng = generator_of("further noise", args.seed, args.subject, args.platform, number)
        add_noise(noisy, level, rng)
        with blamed_on(args.dwi):
            image, _, grid_affine = coefficients_on_grid(
                denoise(noisy, bvals) if args.denoise else noisy,
                affine,
                bvals,
                directions,
                scan_mask,
                *grid,
                args.settings,
                shell=volumes_of_shell(bvals, args.settings["shell"], args.bval),
                transform=np.loadtxt(args.transform),
                scale=args.scale,
                interpolation=args.interpolation,
            )
        draws.append(image)
    variance = np.var(draws, axis=0, ddof=1) / DRAWS
    write_image(args.expected, np.mean(draws, axis=0), grid_affine)
    write_image(args.variance, mean_by_order(variance), grid_affine)


if __name__ == "__main__":
    run_command(main)
