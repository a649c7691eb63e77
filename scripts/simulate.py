"""Simulate one scan of a digital travelling head and write it as BIDS."""

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml

from harmonization.bids import write_gradients
from harmonization.files import run_command, whole_file, write_json
from harmonization.images import write_image
from harmonization.phantom import Acquisition, Person, acquire


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parameters", type=Path, required=True, help="of the phantom")
    parser.add_argument("--seed", type=int, required=True, help="of the phantom")
    parser.add_argument("--subject", required=True)
    parser.add_argument("--platform", required=True)
    parser.add_argument("--scan", choices=["scan", "rescan", "truth"], required=True)
    parser.add_argument("--shells", type=int, nargs="+", required=True, metavar="B")
    parser.add_argument("--slab", type=float, nargs=2, metavar=("CENTRE", "THICKNESS"))
    parser.add_argument("--overhang", action="store_true", help="let the slab reach further")
    for output in ("dwi", "bval", "bvec", "sidecar"):
        parser.add_argument(f"--{output}", type=Path, required=True)
    parser.add_argument("--mask", type=Path)
    parser.add_argument("--tissue", type=Path)
    args = parser.parse_args()

    parameters = yaml.safe_load(args.parameters.read_text())
    person = Person(parameters, args.seed, args.subject)
    slab = args.slab
    if slab and args.overhang:
        slab = [slab[0], slab[1] + 2 * parameters["acquisition"]["overhang"]]
    session = "rescan" if args.scan == "rescan" else "scan"
    scan = acquire(person, args.platform, session, args.shells, slab)

    write_series(args.dwi, scan.truth if args.scan == "truth" else scan.dwi, scan.affine)
    write_gradients(args.bval, args.bvec, scan.bvals, scan.directions, scan.affine)
    write_json(args.sidecar, sidecar(parameters["platforms"][args.platform], scan))
    if args.mask:
        write_image(args.mask, scan.mask, scan.affine)
    if args.tissue:
        write_image(args.tissue, scan.tissue, scan.affine)


def write_series(path: Path, data: np.ndarray, affine: np.ndarray) -> None:
    """Write volumes as 16-bit integers with a scale factor, like a scanner; nibabel finds it."""
    image = nib.Nifti1Image(data, affine)
    image.header.set_data_dtype(np.int16)
    image.header.set_xyzt_units("mm")
    with whole_file(path) as temporary:
        nib.save(image, temporary)


def sidecar(protocol: dict, scan: Acquisition) -> dict:
    """Metadata of a scan; the pose is there to test registration, never to help it."""
    return {
        "Manufacturer": protocol["manufacturer"],
        "ManufacturersModelName": protocol["model"],
        "MagneticFieldStrength": 3,
        "EchoTime": protocol["te"] / 1000,
        "PhaseEncodingDirection": "j",
        "SkullStripped": True,
        "PhantomPose": scan.pose.tolist(),
    }


if __name__ == "__main__":
    run_command(main)
