"""Predict the images of target platforms from a subject's source, with fitted models."""

import argparse
from pathlib import Path

from harmonization.files import InputError, run_command
from harmonization.images.grids import layout, layouts_differ, split_grid
from harmonization.images.nifti import read_image, read_mask, write_image
from harmonization.learning.models import load_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="spherical harmonics")
    parser.add_argument("--mask", type=Path, required=True, help="brain of the source")
    parser.add_argument("--target", nargs="+", required=True, help="platforms to predict")
    parser.add_argument("--model", nargs="+", type=Path, required=True, help="folder of each one's")
    parser.add_argument("--output", nargs="+", type=Path, required=True, help="image of each")
    args = parser.parse_args()
    for target, folder, output in zip(args.target, args.model, args.output, strict=True):
        predict(folder, args.source, args.mask, target, output)


def predict(folder: Path, source_file: Path, mask_file: Path, target: str, output: Path) -> None:
    """Predict one target and write its image."""
    model, card = load_model(folder)
    task = card.specification.task
    source, affine = read_image(source_file)
    mask, _ = read_mask(mask_file)
    if source.ndim != 4 or source.shape[-1] != task.channels:
        raise InputError(
            f"{source_file}: shape {source.shape}, but the model takes {task.channels} "
            "coefficients; fit spherical harmonics of the model's order"
        )
    if difference := layouts_differ(layout(affine), card.input):
        raise InputError(f"{source_file}: {difference} as those that {folder} was fitted to")
    image = model.apply(source, mask, card, target)
    _, target_affine = split_grid(mask.shape, affine, task.scales[target])
    write_image(output, image, target_affine)


if __name__ == "__main__":
    run_command(main)
