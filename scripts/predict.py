"""Predict a target platform's image from a subject's source, with a fitted model."""

import argparse
from pathlib import Path

from harmonization.files import InputError, run_command
from harmonization.images.grids import split_grid
from harmonization.images.nifti import read_image, read_mask, write_image
from harmonization.learning.devices import choose_device
from harmonization.learning.models import load_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder")
    parser.add_argument("--source", type=Path, required=True, help="spherical harmonics")
    parser.add_argument("--mask", type=Path, required=True, help="brain of the source")
    parser.add_argument("--target", required=True, help="platform to predict")
    parser.add_argument("--gpus", type=int, default=0, help="0 computes on the CPU")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()

    model, card = load_model(args.model, choose_device(args.gpus))
    task = card.specification.task
    source, affine = read_image(args.source)
    mask, _ = read_mask(args.mask)
    if source.ndim != 4 or source.shape[-1] != task.channels:
        raise InputError(
            f"{args.source}: shape {source.shape}, but the model takes {task.channels} "
            "coefficients; fit spherical harmonics of the model's order"
        )
    image = model.apply(source, mask, card, args.target)
    _, target_affine = split_grid(mask.shape, affine, task.scales[args.target])
    write_image(args.output, image, target_affine)


if __name__ == "__main__":
    run_command(main)
