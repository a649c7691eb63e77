"""Predict a target platform's image from a subject's source, with a fitted model."""

import argparse
from pathlib import Path

import numpy as np

from harmonization.files import InputError, run_command
from harmonization.grids import split_grid
from harmonization.images import read_image, write_image
from harmonization.models import choose_device, load_model, predict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder")
    parser.add_argument("--source", type=Path, required=True, help="spherical harmonics")
    parser.add_argument("--mask", type=Path, required=True, help="brain of the source")
    parser.add_argument("--target", required=True, help="platform to predict")
    parser.add_argument("--gpus", type=int, default=0, help="0 computes on the CPU")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    device = choose_device(args.gpus)

    network, card = load_model(args.model, device)
    source, affine = read_image(args.source)
    mask, _ = read_image(args.mask)
    channels = card["specification"]["channels"]
    if source.ndim != 4 or source.shape[-1] != channels:
        raise InputError(
            f"{args.source}: shape {source.shape}, but the model takes {channels} coefficients; "
            "fit spherical harmonics of the model's order"
        )
    image = predict(network, card, source, mask, device)[args.target]
    _, target_affine = split_grid(mask.shape, affine, card["specification"]["scales"][args.target])
    write_image(args.output, image.astype(np.float32), target_affine)


if __name__ == "__main__":
    run_command(main)
