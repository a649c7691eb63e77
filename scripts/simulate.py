"""Simulate one scan of a digital travelling head and write it as BIDS."""

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np

from harmonization.data.bids import write_gradients
from harmonization.files import run_command, whole_file, write_json
from harmonization.images.nifti import write_image
from harmonization.phantom.acquisition import Acquisition, acquire
from harmonization.phantom.atlas import Atlas
from harmonization.phantom.effects import EFFECTS, with_effects
from harmonization.phantom.people import Person
from harmonization.plan.phantom import read_parameters


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parameters", type=Path, required=True, help="phantom parameter file")
    parser.add_argument("--atlas", type=Path, required=True, help="made by build_atlas")
    parser.add_argument("--effects", nargs="*", choices=EFFECTS, default=EFFECTS, metavar="EFFECT")
    parser.add_argument("--seed", type=int, required=True, help="seed of the phantom")
    parser.add_argument("--subject", required=True)
    parser.add_argument("--platform", required=True)
    parser.add_argument("--scan", choices=["scan", "rescan"], required=True)
    parser.add_argument("--shells", type=int, nargs="+", required=True, metavar="B")
    parser.add_argument("--slab", type=float, nargs=2, metavar=("CENTRE", "THICKNESS"))
    parser.add_argument("--overhang", action="store_true", help="extend by acquisition.overhang")
    for output in ("dwi", "bval", "bvec", "sidecar", "mask", "tissue", "regions"):
        parser.add_argument(f"--{output}", type=Path, required=True)
    truth = [f"truth-{output}" for output in ("dwi", "bval", "bvec", "sidecar")]
    for output in truth:
        parser.add_argument(f"--{output}", type=Path, help="the same series without noise")
    parser.add_argument("--noise-level", type=Path, help="its standard deviation in either channel")
    args = parser.parse_args()

    parameters = with_effects(read_parameters(args.parameters), args.effects)
    person = Person(Atlas.load(args.atlas), parameters, args.seed, args.subject)
    slab = args.slab
    if slab and args.overhang:
        slab = [slab[0], slab[1] + 2 * parameters["acquisition"]["overhang"]]
    scan = acquire(person, args.platform, args.scan, args.shells, slab)

    description = sidecar(parameters, args.platform, scan)
    if args.truth_dwi:
        write_series(args.truth_dwi, scan.signal, scan.affine)
        write_gradients(args.truth_bval, args.truth_bvec, scan.bvals, scan.directions, scan.affine)
        write_json(args.truth_sidecar, description)
    if args.noise_level:
        write_image(args.noise_level, scan.sigma, scan.affine)
    scan.add_noise()
    write_series(args.dwi, scan.signal, scan.affine)
    write_gradients(args.bval, args.bvec, scan.bvals, scan.directions, scan.affine)
    write_json(args.sidecar, description)
    for path, labels in (
        (args.mask, scan.mask),
        (args.tissue, scan.tissue),
        (args.regions, scan.regions),
    ):
        write_image(path, labels, scan.affine)


def write_series(path: Path, data: np.ndarray, affine: np.ndarray) -> None:
    """Write volumes as 16-bit integers with a scale factor, like a scanner; nibabel chooses it."""
    image = nib.Nifti1Image(data, affine)
    image.header.set_data_dtype(np.int16)
    image.header.set_xyzt_units("mm")
    with whole_file(path) as temporary:
        nib.save(image, temporary)


def sidecar(parameters: dict, platform: str, scan: Acquisition) -> dict:
    """Metadata of a scan; the pose serves to test registration, never to help it."""
    protocol = parameters["platforms"][platform]
    scanner = parameters["scanners"][protocol["scanner"]]
    return {
        "Manufacturer": scanner["manufacturer"],
        "ManufacturersModelName": scanner["model"],
        "MagneticFieldStrength": 3,
        "EchoTime": protocol["te"] / 1000,
        "PhaseEncodingDirection": "j",
        "SkullStripped": True,
        "PhantomPose": scan.pose.tolist(),
    }


if __name__ == "__main__":
    run_command(main)
