"""Preprocessing of a scan, step by step: speed, growth, memory, and what others take for the same.

    python benchmarks/preprocessing.py

Every step works on a simulated head, cropped to a share of it, in a process of its own with one
thread; where others do the same, they take turns with it. Columns:

seconds     for the head at its full size
voxels/s    voxels of the volumes that the step reads, per second
growth      exponent of the time's growth with the volume: 1 is in proportion
peak MB     largest memory of the process, the scan itself included
faster than how many times faster than dipy 1.12 or scipy, or than MRtrix3's ``dwi2fod csd`` where
            it is installed (program and files included)

The last line adds up what a raw scan of ON-Harmony takes.
"""

import math
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # as in the jobs of the workflow

import numpy as np
from common import ROOT, Work, parser, print_machine, print_row, rates, ratio

from harmonization.data.bids import write_gradients
from harmonization.data.denoising import remove_noise
from harmonization.data.preprocessing import correct_motion
from harmonization.data.ringing import remove_ringing
from harmonization.files import write_text
from harmonization.images.deconvolution import fit_fod, response_kernel
from harmonization.images.directions import orientation_field
from harmonization.images.heads import Head, head
from harmonization.images.nifti import write_image
from harmonization.images.registration import assess, register, register_heads
from harmonization.images.sampling import sample, sample_volumes
from harmonization.phantom.acquisition import Acquisition, acquire
from harmonization.phantom.atlas import Atlas, build_atlas
from harmonization.phantom.people import Person
from harmonization.plan.phantom import read_parameters

ORDER, SHELL = 6, 1200
RESPONSE: dict[str, Any] = {"eigenvalues": [1.7e-3, 0.3e-3, 0.3e-3], "s0": 1.0}
THICKNESS = 72.0  # mm of the head that is simulated
CENTRE = 20.0  # mm
RAW_SCAN = (104, 104, 72, 105)  # voxels and volumes of a raw scan of ON-Harmony, about
RAW_STEPS = ("denoising", "ringing", "motion")
GOAL = 5.0  # core-minutes


@dataclass(frozen=True)
class Speed:
    """Speed of one step; see the module's docstring."""

    seconds: float
    voxels: int
    growth: float
    peak: float
    faster_than: dict[str, float]


Step = Callable[[Person, float], tuple[dict[str, Work], int]]


def main() -> None:
    options = parser(__doc__, seconds=2.0)
    options.add_argument("--size", type=float, default=1.0, help="thickness, of normal")
    options.add_argument("--steps", nargs="+", choices=list(STEPS), default=list(STEPS))
    args = options.parse_args()
    print_machine("cpu", "one thread")
    print_row("step", "seconds", "voxels/s", "growth", "peak MB", "faster than")
    with tempfile.TemporaryDirectory() as folder:
        atlas = Path(folder) / "atlas.npz"
        build_atlas(read_parameters(ROOT / "config/travelling_heads.yaml")["bundles"]).save(atlas)
        # One task for each process: its peak of memory is that of one step.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
            found = {
                name: pool.submit(measure, name, atlas, args.size, args.seconds)
                for name in args.steps
            }
            for name, speed in found.items():
                print_speed(name, speed.result())
    if set(RAW_STEPS) <= set(found):
        rates_of_steps = [found[name].result() for name in RAW_STEPS]
        minutes = sum(math.prod(RAW_SCAN) * s.seconds / s.voxels for s in rates_of_steps) / 60
        size = " x ".join(map(str, RAW_SCAN))
        print(f"a raw scan of {size}: {minutes:.1f} core-minutes; the goal is less than {GOAL:g}")


def print_speed(name: str, speed: Speed) -> None:
    """Print the row of a step."""
    others = "; ".join(f"{other} {times:.1f}x" for other, times in speed.faster_than.items())
    cells = f"{speed.seconds:.2f}", f"{speed.voxels / speed.seconds:.0f}"
    print_row(name, *cells, f"{speed.growth:.2f}", f"{speed.peak:.0f}", others)


def measure(name: str, atlas: Path, size: float, seconds: float) -> Speed:
    """Run a step on half of the head and on all of it, then in turns with what others offer."""
    parameters = read_parameters(ROOT / "config/travelling_heads.yaml")
    person = Person(Atlas.load(atlas), parameters, 2019, "01")
    times, sizes = [], []
    for share in (0.5, 1.0):
        works, voxels = STEPS[name](person, size * share * THICKNESS)
        times.append(seconds_of(works["ours"], seconds))
        sizes.append(voxels)
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes elsewhere
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    found = rates(works, "cpu", seconds) if len(works) > 1 else {}
    return Speed(
        seconds=times[1],
        voxels=sizes[1],
        growth=math.log(times[1] / times[0]) / math.log(sizes[1] / sizes[0]),
        peak=peak,
        faster_than={
            other: ratio(found["ours"], speeds)
            for other, speeds in found.items()
            if other != "ours"
        },
    )


def seconds_of(work: Work, seconds: float) -> float:
    """Seconds of a work: of its first call if that is long, else the median of several."""
    started = time.perf_counter()
    work()
    first = time.perf_counter() - started
    return first if first > seconds else 1 / float(np.median(rates({"": work}, "cpu", seconds)[""]))


def once(function: Callable[..., Any], *arguments: Any) -> Work:
    """Work that calls a function once."""

    def work() -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function(*arguments)
        return 1.0

    return work


def scan_of(person: Person, platform: str, thickness: float) -> Acquisition:
    """Scan of a slab, with noise."""
    scan = acquire(person, platform, "scan", [SHELL], (CENTRE, thickness))
    scan.add_noise()
    return scan


# --- Steps: works that take turns, ours among them, and the voxels that they read


def deconvolution(person: Person, thickness: float) -> tuple[dict[str, Work], int]:
    """Fibre orientations, against dipy's fit and MRtrix3's program."""
    scan = scan_of(person, "prisma_st", thickness)
    inside, weighted = scan.mask > 0, scan.bvals > 0
    b0 = scan.signal[inside][:, ~weighted].mean(axis=1, keepdims=True)
    signal = np.clip(scan.signal[inside][:, weighted] / np.maximum(b0, 1e-6), 0, 1)
    directions = scan.directions[weighted]
    works = {"ours": once(fit_fod, signal, directions, SHELL, ORDER, RESPONSE)}
    works["dipy"] = once(deconvolve_by_dipy, signal, directions)
    if shutil.which("dwi2fod"):
        works["MRtrix3"] = once(_mrtrix(scan, signal, inside, directions))
    return works, signal.size


def deconvolve_by_dipy(signal: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Coefficients by dipy's own fit, voxel by voxel, constrained on as many directions."""
    from dipy.core.gradients import gradient_table
    from dipy.core.sphere import HemiSphere
    from dipy.data import get_sphere
    from dipy.reconst.csdeconv import ConstrainedSphericalDeconvModel

    table = gradient_table(
        np.r_[0.0, np.full(len(directions), SHELL)], bvecs=np.vstack([np.zeros(3), directions])
    )
    model = ConstrainedSphericalDeconvModel(
        table,
        (np.array(RESPONSE["eigenvalues"]), RESPONSE["s0"]),
        sh_order_max=ORDER,
        reg_sphere=HemiSphere.from_sphere(get_sphere(name="symmetric362")),
    )
    return model.fit(np.c_[np.ones(len(signal)), signal]).shm_coeff


def _mrtrix(
    scan: Acquisition, signal: np.ndarray, inside: np.ndarray, directions: np.ndarray
) -> Callable[[], Any]:
    """Write what MRtrix3 reads, and return a call of its program with one thread."""
    folder = Path(tempfile.mkdtemp())
    divided = np.zeros((*inside.shape, len(directions)), dtype=np.float32)
    divided[inside] = signal
    write_image(folder / "dwi.nii", divided, scan.affine)
    write_image(folder / "mask.nii", inside.astype(np.uint8), scan.affine)
    bvals = np.full(len(directions), float(SHELL))
    write_gradients(folder / "bval", folder / "bvec", bvals, directions, scan.affine)
    _, zonal = response_kernel(directions, SHELL, ORDER, RESPONSE)
    write_text(folder / "response.txt", " ".join(f"{value:.8f}" for value in zonal) + "\n")
    command = ["dwi2fod", "csd", "dwi.nii", "response.txt", "fod.nii", "-lmax", str(ORDER)]
    command += ["-mask", "mask.nii", "-fslgrad", "bvec", "bval", "-nthreads", "0", "-force"]
    return lambda: subprocess.run([*command, "-quiet"], cwd=folder, check=True)


def _head(scan: Acquisition) -> Head:
    field = orientation_field(scan.signal, scan.mask, scan.bvals, scan.directions)
    return head(scan.signal[..., scan.bvals == 0].mean(axis=-1), scan.affine, scan.mask, field)


def registration(person: Person, thickness: float) -> tuple[dict[str, Work], int]:
    """Affine registration of two scans, and its assessment."""
    fixed, moving = (_head(scan_of(person, p, thickness)) for p in ("ge_st", "prisma_st"))

    def both() -> None:
        assess(fixed, moving, register_heads(fixed, moving, "affine", register))

    return {"ours": once(both)}, fixed.image.size + moving.image.size


def denoising(person: Person, thickness: float) -> tuple[dict[str, Work], int]:
    """Marchenko-Pastur PCA, against dipy's, which has a patch around every voxel."""
    from dipy.denoise.localpca import mppca

    scan = scan_of(person, "prisma_st", thickness)
    works = {"ours": once(remove_noise, scan.signal, scan.mask > 0, 2)}
    works["dipy"] = once(lambda: mppca(scan.signal, mask=scan.mask > 0, patch_radius=2))
    return works, scan.signal.size


def ringing(person: Person, thickness: float) -> tuple[dict[str, Work], int]:
    """Removal of Gibbs ringing, against dipy's."""
    from dipy.denoise.gibbs import gibbs_removal

    data = scan_of(person, "prisma_st", thickness).signal[..., :4].copy()
    theirs = once(lambda: gibbs_removal(data, inplace=False))
    return {"ours": once(remove_ringing, data), "dipy": theirs}, data.size


def motion(person: Person, thickness: float) -> tuple[dict[str, Work], int]:
    """Correction of motion: eight volumes of a whole shell."""
    scan = scan_of(person, "prisma_st", thickness)
    kept = np.r_[np.flatnonzero(scan.bvals == 0)[:2], np.flatnonzero(scan.bvals > 0)[:6]]
    arguments = scan.signal[..., kept], scan.affine, scan.bvals[kept], scan.directions[kept]
    return {"ours": once(correct_motion, *arguments)}, arguments[0].size


def sampling(person: Person, thickness: float) -> tuple[dict[str, Work], int]:
    """Values of all volumes halfway between their voxels, by cubic splines."""
    scan = scan_of(person, "prisma_st", thickness)
    volumes = np.arange(scan.signal.shape[3])
    points = np.argwhere(scan.mask) + 0.5

    def by_scipy() -> None:
        for volume in volumes:
            sample(scan.signal[..., volume], np.eye(4), points, 3)

    ours = once(sample_volumes, scan.signal, volumes, np.eye(4), points, 3)
    return {"ours": ours, "scipy": once(by_scipy)}, scan.signal.size


STEPS: dict[str, Step] = {
    "sampling": sampling,
    "deconvolution": deconvolution,
    "registration": registration,
    "denoising": denoising,
    "ringing": ringing,
    "motion": motion,
}

if __name__ == "__main__":
    main()
