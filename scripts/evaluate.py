"""Score one predicted image against its target."""

import argparse
import csv
import dataclasses
from pathlib import Path

import numpy as np

from harmonization.files import InputError, read_json, run_command, whole_file
from harmonization.images.grids import points_of_mask
from harmonization.images.nifti import read_image, read_mask
from harmonization.images.sampling import sample
from harmonization.learning.lattice import Lattice
from harmonization.report.scores import Scoring

LABELS = ("method", "family", "target", "fold", "seed", "subject")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for label in LABELS:
        parser.add_argument(f"--{label}", required=True, help="copied into the rows")
    parser.add_argument("--prediction", type=Path, required=True)
    parser.add_argument("--measured", type=Path, required=True, help="spherical harmonics")
    parser.add_argument(
        "--mask", type=Path, nargs="+", required=True, help="brains: scored where all of them are"
    )
    parser.add_argument("--truth", type=Path, help="noise-free target")
    parser.add_argument("--expected", type=Path, help="mean of the target over draws of its noise")
    parser.add_argument("--expected-variance", type=Path, help="of that mean, by order")
    parser.add_argument("--tissue", type=Path, help="labels, on the source's own grid")
    parser.add_argument("--manifest", type=Path, required=True, help="of the fold")
    parser.add_argument("--scoring", type=Path, required=True, help="patches that count")
    parser.add_argument("--output", type=Path, required=True, help="rows")
    parser.add_argument("--slice", type=Path, required=True, help="for figures")
    args = parser.parse_args()

    prediction, affine = read_image(args.prediction)
    measured, measured_affine = read_image(args.measured)
    if prediction.shape != measured.shape or not np.allclose(affine, measured_affine, atol=1e-4):
        raise InputError(
            f"{args.prediction}: shape {prediction.shape} or affine differs from {args.measured} "
            f"{measured.shape}; a method must predict on the grid of its target"
        )
    masks = [read_mask(path)[0] > 0 for path in args.mask]
    mask = np.all(masks, axis=0)
    references = args.truth, args.expected, args.expected_variance
    references = [read_image(path)[0] if path else None for path in references]
    tissue = labels_on_grid(args.tissue, mask, affine) if args.tissue else None

    manifest = read_json(args.manifest)
    scoring = Scoring(
        mask,
        Lattice(**manifest["lattice"]),
        manifest["scales"][args.target],
        manifest["normalisation"][args.target],
        np.array(read_json(args.scoring)["patches"][args.subject]),
    )
    report_coverage(scoring, masks[0])
    scores = scoring.scores(prediction, measured, *references, tissue)
    for score in scores:
        if not np.isfinite(score.value):
            raise InputError(
                f"{args.prediction}: its {score.metric} in region {score.region} is {score.value}; "
                "look at the prediction and the target"
            )
    with whole_file(args.output) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*LABELS, "region", "metric", "value"])
        given = [getattr(args, label) for label in LABELS]
        writer.writerows([*given, s.region, s.metric, f"{s.value:.9g}"] for s in scores)
    with whole_file(args.slice) as temporary:
        np.savez(temporary, **scoring.slice(prediction, measured))


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
