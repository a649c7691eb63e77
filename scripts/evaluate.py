"""Score the predicted images of a subject against their targets."""

import argparse
import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from harmonization.files import InputError, blamed_on, read_json, run_command, whole_file, write_csv
from harmonization.images.grids import points_of_mask
from harmonization.images.nifti import read_image, read_mask
from harmonization.images.sampling import sample
from harmonization.learning.lattice import Lattice
from harmonization.report.scores import Score, Scoring
from harmonization.report.slices import cut_slice

LABELS = ("method", "family", "target", "fold", "seed", "subject")
OF_TARGET = ("measured", "mask", "sidecar", "own_mask", "truth", "expected", "expected_variance")
OF_TARGET += ("slice",)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for label in ("method", "family", "fold", "subject"):
        parser.add_argument(f"--{label}", required=True, help="copied into the rows")
    parser.add_argument("--seed", nargs="+", required=True, help="of the predictions")
    parser.add_argument("--target", nargs="+", required=True, help="predicted platforms")
    several = partial(parser.add_argument, nargs="+", type=Path)
    several("--prediction", required=True, help="images of all targets by each seed")
    several("--measured", required=True, help="image of each target, as all that follow")
    several("--mask", required=True, help="brain of the measured target")
    several("--sidecar", required=True, help="how the measured target's coefficients were made")
    several("--own-mask", help="brain of a prediction that is a scan; scored where both are")
    several("--truth", help="noise-free target")
    several("--expected", help="mean of the target over draws of its noise")
    several("--expected-variance", help="of that mean, by order")
    several("--slice", required=True, help="output for figures, by the first seed")
    parser.add_argument("--tissue", type=Path, help="labels, on the source's own grid")
    parser.add_argument("--manifest", type=Path, required=True, help="of the fold")
    parser.add_argument("--scoring", type=Path, required=True, help="patches that count")
    parser.add_argument("--output", type=Path, required=True, help="rows of all predictions")
    args = parser.parse_args()

    manifest = read_json(args.manifest)
    patches = np.array(read_json(args.scoring)["patches"][args.subject])
    if len(args.prediction) != (wanted := len(args.seed) * len(args.target)):
        raise InputError(
            f"--prediction: {len(args.prediction)} images; give {wanted}, all targets by each seed"
        )
    predictions = iter(args.prediction)
    rows = []
    for seed in args.seed:
        for number, target in enumerate(args.target):
            files = {role: paths[number] for role in OF_TARGET if (paths := getattr(args, role))}
            if seed != args.seed[0]:
                del files["slice"]
            lattice = Lattice(**manifest["lattice"])
            of_fold = (
                lattice,
                manifest["scales"][target],
                manifest["normalisation"][target],
                patches,
            )
            scores = score(next(predictions), files, args.tissue, of_fold)
            labels = [args.method, args.family, target, args.fold, seed, args.subject]
            rows += [[*labels, s.region, s.metric, f"{s.value:.9g}"] for s in scores]
    write_csv(args.output, [[*LABELS, "region", "metric", "value"], *rows])


def score(
    predicted: Path, files: dict[str, Path], tissue: Path | None, of_fold: tuple[Any, ...]
) -> list[Score]:
    """Score one prediction, and write its slice if its file is given.

    Parameters
    ----------
    predicted : Path
    files : dict of str to Path
        Of the target, by role, as in the command's arguments.
    tissue : Path or None
    of_fold : tuple
        All of a `Scoring` but its mask and its conventions.

    Raises
    ------
    InputError
        If the prediction is not on its target's grid, or a score is no number.
    """
    prediction, affine = read_image(predicted)
    measured, measured_affine = read_image(files["measured"])
    if prediction.shape != measured.shape or not np.allclose(affine, measured_affine, atol=1e-4):
        raise InputError(
            f"{predicted}: shape {prediction.shape} or affine differs from {files['measured']} "
            f"{measured.shape}; a method must predict on the grid of its target"
        )
    masks = [read_mask(files[role])[0] > 0 for role in ("mask", "own_mask") if role in files]
    scoring = Scoring(np.all(masks, axis=0), *of_fold, read_json(files["sidecar"]), masks[0])
    with blamed_on(predicted):
        report_coverage(scoring, masks[0])
    references = [
        read_image(files[role])[0] if role in files else None
        for role in ("truth", "expected", "expected_variance")
    ]
    labels = labels_on_grid(tissue, masks[0], affine) if tissue else None
    scores = scoring.scores(prediction, measured, *references, labels)
    for found in scores:
        if not np.isfinite(found.value):
            raise InputError(
                f"{predicted}: its {found.metric} in region {found.region} is "
                f"{found.value}; look at the prediction and the target"
            )
    if "slice" in files:
        with whole_file(files["slice"]) as temporary:
            shown = cut_slice(prediction, measured, affine, scoring, masks[0], labels)
            np.savez_compressed(temporary, **shown)
    return scores


def report_coverage(scoring: Scoring, measured: np.ndarray) -> None:
    """Report the patches that a control scan reaches only in part or not at all.

    Raises
    ------
    InputError
        If it reaches no patch that counts.
    """
    reached, wanted = scoring.coverage, dataclasses.replace(scoring, mask=measured).coverage
    if not reached.any():
        raise InputError("no voxel of the patches that count lies in all masks; look at the scan")
    missed, partly = (reached == 0).sum(), ((reached > 0) & (reached < wanted)).sum()
    if missed or partly:
        print(
            f"scored where all masks reach: of {len(wanted)} patches that count, {partly} in part "
            f"and {missed} not at all"
        )


def labels_on_grid(path: Path, mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Nearest tissue label at each voxel in `mask`."""
    labels, labels_affine = read_image(path)
    image = np.zeros(mask.shape, dtype=np.uint8)
    image[mask] = sample(labels, labels_affine, points_of_mask(mask, affine), order=0)
    return image


if __name__ == "__main__":
    run_command(main)
