"""Score the predicted images of a subject against their targets."""

import argparse
import csv
import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from harmonization.files import InputError, read_json, run_command, whole_file
from harmonization.images.grids import points_of_mask
from harmonization.images.nifti import read_image, read_mask
from harmonization.images.sampling import sample
from harmonization.learning.lattice import Lattice
from harmonization.report.scores import Score, Scoring

LABELS = ("method", "family", "target", "fold", "seed", "subject")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for label in LABELS:
        if label != "target":
            parser.add_argument(f"--{label}", required=True, help="copied into the rows")
    parser.add_argument("--target", nargs="+", required=True, help="predicted platforms")
    of_each = partial(parser.add_argument, nargs="+", type=Path)
    of_each("--prediction", required=True, help="image of each target, as all that follow")
    of_each("--measured", required=True, help="spherical harmonics")
    of_each("--mask", required=True, help="brain of the measured target")
    of_each("--own-mask", help="brain of a prediction that is a scan; scored where both are")
    of_each("--truth", help="noise-free target")
    of_each("--expected", help="mean of the target over draws of its noise")
    of_each("--expected-variance", help="of that mean, by order")
    of_each("--slice", required=True, help="output for figures")
    parser.add_argument("--tissue", type=Path, help="labels, on the source's own grid")
    parser.add_argument("--manifest", type=Path, required=True, help="of the fold")
    parser.add_argument("--scoring", type=Path, required=True, help="patches that count")
    parser.add_argument("--output", type=Path, required=True, help="rows of all targets")
    args = parser.parse_args()

    manifest = read_json(args.manifest)
    patches = np.array(read_json(args.scoring)["patches"][args.subject])
    rows = []
    for number, target in enumerate(args.target):
        files = {
            role: paths[number] for role, paths in vars(args).items() if isinstance(paths, list)
        }
        lattice = Lattice(**manifest["lattice"])
        of_fold = lattice, manifest["scales"][target], manifest["normalisation"][target], patches
        given = {**vars(args), "target": target}
        labels = [given[label] for label in LABELS]
        rows += [
            [*labels, s.region, s.metric, f"{s.value:.9g}"]
            for s in score(files, args.tissue, of_fold)
        ]
    with whole_file(args.output) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*LABELS, "region", "metric", "value"])
        writer.writerows(rows)


def score(files: dict[str, Path], tissue: Path | None, of_fold: tuple[Any, ...]) -> list[Score]:
    """Score one prediction and write its slice.

    Parameters
    ----------
    files : dict of str to Path
        By role, as in the command's arguments.
    tissue : Path or None
    of_fold : tuple
        All of a `Scoring` but its mask.

    Raises
    ------
    InputError
        If the prediction is not on its target's grid, or a score is no number.
    """
    prediction, affine = read_image(files["prediction"])
    measured, measured_affine = read_image(files["measured"])
    if prediction.shape != measured.shape or not np.allclose(affine, measured_affine, atol=1e-4):
        raise InputError(
            f"{files['prediction']}: shape {prediction.shape} or affine differs from "
            f"{files['measured']} {measured.shape}; a method must predict on the grid of its target"
        )
    masks = [read_mask(files[role])[0] > 0 for role in ("mask", "own_mask") if role in files]
    scoring = Scoring(np.all(masks, axis=0), *of_fold)
    report_coverage(scoring, masks[0])
    references = [
        read_image(files[role])[0] if role in files else None
        for role in ("truth", "expected", "expected_variance")
    ]
    labels = labels_on_grid(tissue, scoring.mask, affine) if tissue else None
    scores = scoring.scores(prediction, measured, *references, labels)
    for found in scores:
        if not np.isfinite(found.value):
            raise InputError(
                f"{files['prediction']}: its {found.metric} in region {found.region} is "
                f"{found.value}; look at the prediction and the target"
            )
    with whole_file(files["slice"]) as temporary:
        np.savez(temporary, **scoring.slice(prediction, measured))
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
        raise InputError("no voxel of the patches that count lies in all masks; look at the scans")
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
