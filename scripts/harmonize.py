"""Harmonise a new scan: predict from it what another platform would measure, by a fitted model.

The folder of the model says all that is needed. What is written is a BIDS derivative.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# One thread, as in the jobs of a run, for the same bits; two make denoising ten times slower.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

from harmonization.data.bids import CONVENTIONS
from harmonization.data.harmonized import Harmonized, write_harmonized, write_series
from harmonization.data.preprocessing import denoise
from harmonization.data.validation import ValidScan, shell_problems, validate_scan
from harmonization.files import InputError, blamed_on, run_command, sha256, tell, whole_folder
from harmonization.images.gradients import B0_THRESHOLD, volumes_of_shell
from harmonization.images.grids import (
    bounding_box,
    layout,
    layouts_differ,
    split_grid,
    split_mask,
    uncut,
)
from harmonization.images.nifti import read_image
from harmonization.images.scan import coefficients_on_grid, crop_to_brain
from harmonization.learning.images import interpolate
from harmonization.learning.models import CARD, WEIGHTS, Card, Model, load_model
from harmonization.plan.scans import FoundScan, optional_companions

OTHER_MODEL = "this takes a model that was fitted to such scans"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of a fitted model")
    parser.add_argument("--target", required=True, help="platform to predict")
    for name in ("dwi", "bval", "bvec", "mask"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="of the scan")
    parser.add_argument(
        "--convention",
        choices=CONVENTIONS,
        default="fsl",
        help="of the bvec table, unless a table in world axes (.b) beside the scan tells it",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder that is written")
    args = parser.parse_args()
    # First of all, so that nobody waits for a result that has no place.
    with whole_folder(args.out) as folder:
        harmonize(args, folder)
    tell(f"Wrote {args.out}")


def harmonize(args: argparse.Namespace, folder: Path) -> None:
    """Harmonise the scan, and write the result to a folder."""
    model, card = read_model(args.model, args.target)
    files = (str(path) for path in (args.dwi, args.bval, args.bvec, args.mask))
    scan = FoundScan(*files, b_table=optional_companions(args.dwi).get("b_table"))
    tell(f"Check {args.dwi.name}")
    valid = checked(scan, args.convention, card)
    dwi, affine = read_image(args.dwi)
    settings, r = card.spherical_harmonics, card.specification.task.scales[args.target]
    shell, b0 = (
        volumes_of_shell(valid.bvals, settings["shell"], args.bval),
        valid.bvals < B0_THRESHOLD,
    )
    with blamed_on(args.dwi):
        if card.input["denoised"]:
            tell("Denoise by Marchenko-Pastur PCA, as the scans were from which the model learned")
            dwi = denoise(dwi, valid.bvals)
        tell(f"Fit spherical harmonics of order {settings['order']} at b={settings['shell']:g}")
        image, mask, _ = coefficients_on_grid(
            dwi,
            affine,
            valid.bvals,
            valid.directions,
            valid.mask,
            *crop_to_brain(valid.mask, affine),
            settings,
            shell,
        )
    if image.shape[-1] != (channels := card.specification.task.channels):
        raise InputError(
            f"{args.model / CARD}: the model takes {channels} coefficients, but order "
            f"{settings['order']} has {image.shape[-1]}; fit this model again"
        )
    tell(f"Predict {args.target} in {int(mask.sum())} voxels by {card.method}")
    place = bounding_box(valid.mask > 0), valid.mask.shape, r
    harmonized = Harmonized(
        uncut(model.apply(image, mask, card, args.target), *place),
        uncut(split_mask(mask, r), *place),
        split_grid(valid.mask.shape, affine, r)[1],
        predicted_conventions(card, args.target),
        args.target,
        provenance(args, card),
    )
    tell("Write")
    stem = write_harmonized(folder, args.dwi, harmonized)
    if settings["representation"] == "signal":
        mean_b0 = interpolate(dwi[..., b0].mean(axis=-1, keepdims=True), r)[..., 0]
        # What is predicted is the target's shell, which may be another one.
        bvals = np.append(0.0, np.full(shell.sum(), harmonized.settings["shell"], dtype=float))
        directions = np.concatenate([np.zeros((1, 3)), valid.directions[shell]])
        series = harmonized.series(mean_b0, directions[1:])
        write_series(stem, series, bvals, directions, harmonized, valid.convention)


def read_model(folder: Path, target: str) -> tuple[Model, Card]:
    """Read a model that predicts a target.

    Raises
    ------
    InputError
        If the folder holds no model, or one of other targets or of scans that nobody has.
    """
    if not folder.exists():
        raise InputError(f"{folder}: no such folder; give that of a model")
    if folder.is_file():
        raise InputError(f"{folder}: is a file; give the folder of a model")
    if not (folder / CARD).exists():
        raise InputError(
            f"{folder}: holds no {CARD}, so it is no model. Models are in "
            "results/<run>/models/<method>/<target>/fold-<f>_seed-<k>, with 'all' in place of the "
            "target if one predicts all; a baseline with rules of its own has its own program"
        )
    model, card = load_model(folder)
    if card.input["noise_free"]:
        raise InputError(
            f"{folder}: {card.method} reads scans without noise, which only a phantom has; take "
            "another method's model"
        )
    if target not in (predicted := card.normalisation["outputs"]):
        raise InputError(f"{folder}: predicts {', '.join(sorted(predicted))}, not {target}")
    return model, card


def predicted_conventions(card: Card, target: str) -> dict[str, Any]:
    """How the spherical harmonics are to be read that a model predicts."""
    conventions = dict(card.spherical_harmonics)
    shells = conventions.pop("target_shells")
    return {**conventions, "shell": shells[target]}


def checked(scan: FoundScan, convention: str, card: Card) -> ValidScan:
    """What to use of a scan.

    Raises
    ------
    InputError
        If anything is wrong with it, or it is not such as the model was fitted to. Problems beyond
        the first are printed before.
    """
    valid, problems = validate_scan(scan, convention)
    if valid is not None:
        problems = list(mismatches(scan, valid, card))
    if problems:
        print("".join(f"{problem}\n" for problem in problems[1:]), end="", file=sys.stderr)
        raise InputError(problems[0])
    for warning in valid.warnings:
        tell(f"warning: {warning}")
    return valid


def mismatches(scan: FoundScan, valid: ValidScan, card: Card) -> Iterator[str]:
    """In what a scan differs from those that the model was fitted to."""
    if difference := layouts_differ(layout(valid.affine), card.input):
        yield f"{scan.dwi}: {difference} as those of {card.source}; {OTHER_MODEL}"
    settings = card.spherical_harmonics
    yield from shell_problems(
        settings["shell"],
        settings["order"],
        vars(scan),
        valid.bvals,
        valid.directions,
        OTHER_MODEL,
    )


def provenance(args: argparse.Namespace, card: Card) -> dict:
    """Where a harmonised scan comes from, for its sidecars."""
    return {
        "Method": card.method,
        "Source": card.source,
        "Target": args.target,
        "Fold": card.fold,
        "Seed": card.seed,
        "Denoised": card.input["denoised"],
        "CardSHA256": sha256(args.model / CARD),
        "WeightsSHA256": sha256(args.model / WEIGHTS),
        "Input": args.dwi.name,
        "InputSHA256": sha256(args.dwi),
    }


if __name__ == "__main__":
    run_command(main)
