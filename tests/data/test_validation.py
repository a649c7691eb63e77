"""Broken data sets are refused, each for its own reason; odd but valid ones are not."""

import gzip
import re
import shutil
import struct
from inspect import getsource
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml
from conftest import ROOT
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from harmonization.data.bids import read_gradients, write_dataset_description, write_gradients
from harmonization.data.validation import are_apart, validate_dataset
from harmonization.files import InputError, read_json, write_json
from harmonization.images.nifti import read_image, write_image
from harmonization.phantom.acquisition import gradient_scheme
from harmonization.plan.configuration import merge
from harmonization.plan.scans import ENTITIES, choose_subjects, entities_of, find_scan, raw_scan

AFFINE = np.diag([2.4, 2.4, 2.4, 1.0])
SHAPE = (7, 8, 6)
PLATFORMS = {
    "old": {"session": "ge", "acquisition": "st", "scale": 1},
    "new": {"session": "prisma", "acquisition": "st", "scale": 1},
}
CONFIG = merge(
    yaml.safe_load((ROOT / "config/config.yaml").read_text()),
    {"dataset": {"subjects": 3}, "platforms": PLATFORMS, "source": "old", "targets": ["new"]},
)
CONFIG["platforms"] = PLATFORMS
LAYOUT = {"voxel_size": [2.4, 2.4, 2.4], "axes": "RAS"}


class Study:
    """A small data set, and the one scan that tests spoil."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "sub-b/ses-prisma/dwi"
        self.stem = "sub-b_ses-prisma_acq-st_desc-preproc_dwi"
        self.config = CONFIG

    def file(self, end: str) -> Path:
        return self.folder / f"{self.stem}{end}"

    @property
    def dwi(self) -> Path:
        return self.file(".nii.gz")

    @property
    def bval(self) -> Path:
        return self.file(".bval")

    @property
    def bvec(self) -> Path:
        return self.file(".bvec")

    @property
    def sidecar(self) -> Path:
        return self.file(".json")

    @property
    def mask(self) -> Path:
        return self.folder / "sub-b_ses-prisma_acq-st_desc-brain_mask.nii.gz"

    def change(self, path: Path, change) -> None:
        data, affine = read_image(path)
        write_image(path, np.asarray(change(data)), affine)

    def change_header(self, change) -> None:
        image = nib.load(self.dwi)
        image = nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header)
        change(image)
        nib.save(image, self.dwi)

    def patch_header(self, path: Path, offset: int, content: bytes) -> None:
        raw = bytearray(gzip.decompress(path.read_bytes()))
        raw[offset : offset + len(content)] = content
        path.write_bytes(gzip.compress(bytes(raw)))

    def problems(self) -> list[str]:
        return validate_dataset(self.config, self.root)[0]

    def warnings(self) -> list[str]:
        return validate_dataset(self.config, self.root)[1]


def write_study(root: Path) -> None:
    rng = np.random.default_rng(3)
    write_dataset_description(root, "Small", {"Name": "tests"})
    bvals, directions = gradient_scheme({1200: 30}, 2)
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:6, 1:7, 1:5] = 1
    for subject in "abc":
        for session in ("ge", "prisma"):
            folder = root / f"sub-{subject}/ses-{session}/dwi"
            stem = folder / f"sub-{subject}_ses-{session}_acq-st"
            signal = np.exp(-bvals * 1e-3 * (0.5 + directions[:, 0] ** 2))
            data = 1000.0 * mask[..., None] * signal + rng.uniform(1, 20, (*SHAPE, len(bvals)))
            series = f"{stem}_desc-preproc_dwi"
            write_image(f"{series}.nii.gz", data.astype(np.float32), AFFINE)
            write_gradients(f"{series}.bval", f"{series}.bvec", bvals, directions, AFFINE)
            write_json(f"{series}.json", {"EchoTime": 0.089, "SkullStripped": True})
            write_image(f"{stem}_desc-brain_mask.nii.gz", mask, AFFINE)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    root = tmp_path_factory.mktemp("study") / "bids"
    write_study(root)
    return root


@pytest.fixture
def study(original, tmp_path):
    return Study(shutil.copytree(original, tmp_path / "bids"))


def test_a_valid_data_set_has_no_problems(study):
    assert study.problems() == []


# --- What is refused: the file that the report must name, and what it must say

CORRUPTIONS = {}


def corruption(named: str, finding: str):
    def register(function):
        CORRUPTIONS[function.__name__] = (function, named, finding)
        return function

    return register


@corruption("dwi.nii.gz", "is empty; copy it again")
def empty_file(s):
    s.dwi.write_bytes(b"")


@corruption("dwi.nii.gz", "ends too early")
def truncated_gzip(s):
    s.dwi.write_bytes(s.dwi.read_bytes()[:-2000])


@corruption("dwi.nii.gz", "is no intact gzip file")
def not_gzip(s):
    s.dwi.write_bytes(b"<html>404 Not Found</html>" * 50)


@corruption("dwi.nii.gz", "CRC check failed")
def wrong_checksum(s):
    content = bytearray(s.dwi.read_bytes())
    content[-6] ^= 0xFF
    s.dwi.write_bytes(content)


@corruption("dwi.nii.gz", "cannot be decompressed")
def flipped_bits(s):
    content = bytearray(s.dwi.read_bytes())
    content[10:70] = b"\xff" * 60
    s.dwi.write_bytes(content)


@corruption("dwi.nii.gz", "is no NIfTI image")
def compressed_text(s):
    s.dwi.write_bytes(gzip.compress(b"this is no image" * 100))


@corruption("dwi.nii", "is no NIfTI image (Binary block is wrong size)")
def a_short_page_of_an_error(s):
    s.dwi.unlink()
    s.file(".nii").write_bytes(b"<html>404 Not Found</html>")


@corruption("dwi.nii.gz", "is no NIfTI image (Binary block is wrong size)")
def gzip_of_nothing(s):
    s.dwi.write_bytes(gzip.compress(b""))


@corruption("mask.nii.gz", "has no voxels (0, 8, 6)")
def a_mask_without_voxels(s):
    s.change(s.mask, lambda m: m[:0])


@corruption("dwi.nii.gz", "is shorter than its header says")
def header_promises_more(s):
    s.patch_header(s.dwi, 48, struct.pack("<h", 64))


@corruption("dwi.nii", "is shorter than its header says")
def truncated_plain_image(s):
    raw = gzip.decompress(s.dwi.read_bytes())
    s.dwi.unlink()
    s.file(".nii").write_bytes(raw[:-5000])


@corruption("dwi.nii.gz", "not real numbers")
def complex_values(s):
    s.change(s.dwi, lambda d: d.astype(np.complex64))


@corruption("dwi.nii.gz", "has 3 dimensions")
def one_volume(s):
    s.change(s.dwi, lambda d: d[..., 0])


@corruption("dwi.nii.gz", "has 5 dimensions")
def a_fifth_dimension(s):
    s.change(s.dwi, lambda d: np.stack([d, d], axis=-1))


@corruption("dwi.nii.gz", "its affine holds NaN")
def affine_not_a_number(s):
    s.patch_header(s.dwi, 280, struct.pack("<f", float("nan")))


@corruption("dwi.nii.gz", "its affine has no volume")
def flat_affine(s):
    s.patch_header(s.dwi, 280, struct.pack("<4f", 0, 0, 0, 0))


@corruption("dwi.nii.gz", "NIfTI affines are in millimetres")
def metres(s):
    data, affine = read_image(s.dwi)
    write_image(s.dwi, data, affine * [[1e-3], [1e-3], [1e-3], [1]])


def place(s, sform, qform, qform_code=1):
    def change(image):
        image.set_sform(sform, code=1)
        image.set_qform(qform, code=qform_code)

    s.change_header(change)


@corruption("dwi.nii.gz", "sform and qform place it differently")
def two_places(s):
    moved = AFFINE.copy()
    moved[0, 3] += 5
    place(s, AFFINE, moved)


@corruption("dwi.nii.gz", "place it differently, and programs disagree")
def forms_turned_by_two_degrees(s):
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("z", 2.5, degrees=True).as_matrix()
    place(s, AFFINE, turn @ AFFINE)


@corruption("dwi.nii.gz", "its affine shears")
def sheared_axes(s):
    sheared = AFFINE.copy()
    sheared[0, 2] += 0.5
    place(s, sheared, sheared, qform_code=0)


@corruption("dwi.nii.gz", "its scale factor is inf")
def infinite_scale(s):
    s.change(s.dwi, lambda d: d.astype(np.int16))
    s.patch_header(s.dwi, 112, struct.pack("<f", float("inf")))


@corruption("dwi.nii.gz", "holds NaN or infinite values, first at voxel [2, 2, 2, 3]")
def a_nan(s):
    def change(data):
        data[2, 2, 2, 3] = np.nan
        return data

    s.change(s.dwi, change)


@corruption("dwi.nii.gz", "holds NaN or infinite values, first at voxel [0, 0, 0, 0]")
def all_infinite(s):
    s.change(s.dwi, lambda d: d + np.float32(np.inf))


@corruption("dwi.nii.gz", "volume 0 has the same value all over the brain")
def a_first_volume_without_signal(s):
    s.change(s.dwi, lambda data: np.concatenate([0 * data[..., :1], data[..., 1:]], axis=-1))


@corruption("dwi.nii.gz", "volume 5 has the same value all over the brain")
def a_constant_volume(s):
    def change(data):
        data[..., 5] = 7
        return data

    s.change(s.dwi, change)


@corruption("dwi.nii.gz", "slice 3 of volume 4 is empty")
def a_lost_slice(s):
    def change(data):
        data[:, :, 3, 4] = 0
        return data

    s.change(s.dwi, change)


@corruption("dwi.nii.gz", "of the brain's values are negative")
def negative_values(s):
    s.change(s.dwi, lambda d: d - 400)


@corruption("dwi.nii.gz", "the same file as")
def somebody_elses_scan(s):
    other = s.root / "sub-a/ses-prisma/dwi/sub-a_ses-prisma_acq-st_desc-preproc_dwi.nii.gz"
    shutil.copy(other, s.dwi)


@corruption("dwi.bval", "no such file, nor .bvals")
def no_bvals(s):
    s.bval.unlink()


@corruption("dwi.bval", "dwi.bvals lies beside it")
def two_bvals(s):
    shutil.copy(s.bval, s.file(".bvals"))


@corruption("dwi.bval", "not a table of numbers")
def words_as_bvals(s):
    s.bval.write_text("b0 b1200")


@corruption("dwi.bval", "holds NaN or infinite values")
def a_nan_as_bval(s):
    s.bval.write_text(s.bval.read_text().replace("1200", "nan", 1))


@corruption("dwi.bvec", "for the 31 b-values")
def one_bval_less(s):
    s.bval.write_text(" ".join(s.bval.read_text().split()[:-1]))


@corruption("dwi.bval", "32 b-values for the 31 volumes")
def one_volume_less(s):
    s.change(s.dwi, lambda d: d[..., :-1])


@corruption("dwi.bval", "b is never negative")
def a_negative_bval(s):
    s.bval.write_text(s.bval.read_text().replace("1200", "-1200", 1))


@corruption("dwi.bval", "its largest b-value is 1.2; give them in s/mm2")
def bvals_in_other_units(s):
    s.bval.write_text(s.bval.read_text().replace("1200", "1.2"))


@corruption("dwi.bval", "its largest b-value is 0; give them in s/mm2")
def nothing_but_zeros_as_bvals(s):
    s.bval.write_text(s.bval.read_text().replace("1200", "0"))


@corruption("dwi.bval", "no volume with b below 50; add the b=0 volumes")
def no_b0(s):
    s.change(s.dwi, lambda d: d[..., 2:])
    s.bval.write_text(" ".join(s.bval.read_text().split()[2:]))
    np.savetxt(s.bvec, np.loadtxt(s.bvec)[:, 2:])


@corruption("dwi.bval", "no volume at b=1200; its shells are [3000]")
def another_shell(s):
    s.bval.write_text(s.bval.read_text().replace("1200", "3000"))


@corruption("dwi.bval", "are the volumes in the table's order?")
def shuffled_bvals(s):
    values = s.bval.read_text().split()
    s.bval.write_text(" ".join(values[::-1]))
    directions = np.loadtxt(s.bvec)
    np.savetxt(s.bvec, directions[:, ::-1])


@corruption("dwi.bvec", "no such file, nor .bvecs")
def no_bvecs(s):
    s.bvec.unlink()


@corruption("dwi.bvec", "not a table of numbers")
def ragged_bvecs(s):
    s.bvec.write_text("1 0 0\n0 1\n")


@corruption("dwi.bvec", "holds NaN or infinite values")
def a_nan_as_direction(s):
    directions = np.loadtxt(s.bvec)
    directions[1, 7] = np.nan
    np.savetxt(s.bvec, directions)


@corruption("dwi.bvec", "holds a table of shape (2, 32)")
def two_rows_of_bvecs(s):
    np.savetxt(s.bvec, np.loadtxt(s.bvec)[:2])


@corruption("dwi.bvec", "has length 1.5, not 1")
def long_directions(s):
    np.savetxt(s.bvec, 1.5 * np.loadtxt(s.bvec))


@corruption("dwi.bvec", "has length 0, not 1")
def a_weighted_volume_without_direction(s):
    directions = np.loadtxt(s.bvec)
    directions[:, 9] = 0
    np.savetxt(s.bvec, directions)


@corruption("dwi.bvec", "may encode b-values (b times length squared: 600, 1200); write the true")
def lengths_that_encode_b(s):
    directions = np.loadtxt(s.bvec)
    directions[:, 2:12] *= 0.5**0.5
    np.savetxt(s.bvec, directions)


@corruption("dwi.b", "its directions differ from those of")
def a_b_table_of_another_scan(s):
    directions = gradient_scheme({1200: 30}, 2)[1][:, [1, 2, 0]]
    np.savetxt(s.file(".b"), np.c_[directions, np.loadtxt(s.bval)])


@corruption("dwi.b", "holds a table of shape (31, 4) for 32 b-values")
def a_short_b_table(s):
    directions = gradient_scheme({1200: 30}, 2)[1]
    np.savetxt(s.file(".b"), np.c_[directions, np.loadtxt(s.bval)][1:])


@corruption("dwi.bval", "is no text; copy the table again")
def an_image_as_bvals(s):
    s.bval.write_bytes(s.dwi.read_bytes()[:400])


@corruption("dwi.bval", "is empty; copy it again")
def empty_bvals(s):
    s.bval.write_text("")


@corruption("dwi.bvec", "15 distinct directions at b=1200, order 6 needs 28")
def directions_measured_twice(s):
    directions = np.loadtxt(s.bvec)
    directions[:, 17:] = -directions[:, 2:17]
    np.savetxt(s.bvec, directions)


@corruption("dwi.bvec", "leave part of the sphere out")
def directions_on_one_side(s):
    directions = np.loadtxt(s.bvec)
    directions[0] *= 0.15
    directions[:, 2:] /= np.linalg.norm(directions[:, 2:], axis=0)
    np.savetxt(s.bvec, directions)


@corruption("dwi.nii.gz", "is no NIfTI image (w2 should be positive")
def a_quaternion_that_is_no_rotation(s):
    s.patch_header(s.dwi, 252, struct.pack("<hh", 1, 0))
    s.patch_header(s.dwi, 256, struct.pack("<3f", 0.8, 0.8, 0))


@corruption("dwi.nii.gz", "the quaternion of its qform is no rotation (w2 should be positive")
def a_quaternion_that_is_no_rotation_beside_a_valid_affine(s):
    s.patch_header(s.dwi, 252, struct.pack("<hh", 1, 1))
    s.patch_header(s.dwi, 256, struct.pack("<3f", 0.8, 0.8, 0))


@corruption("dwi.nii.gz", "a link without content; fetch it with 'datalad get'")
def a_link_without_content(s):
    s.dwi.unlink()
    s.dwi.symlink_to("../../.git/annex/objects/xx")


@corruption("dwi.bval", "a link without content; fetch it with 'datalad get'")
def a_pointer_instead_of_content(s):
    s.bval.write_text("/annex/objects/MD5E-s96--0123.bval\n")


@corruption("dwi.nii.gz", "has no brain mask")
def no_mask(s):
    s.mask.unlink()


@corruption("mask.nii.gz", "ends too early")
def truncated_mask(s):
    s.mask.write_bytes(s.mask.read_bytes()[:-20])


@corruption("mask.nii.gz", "shape (7, 8, 5) differs from the scan's (7, 8, 6)")
def a_mask_of_other_shape(s):
    s.change(s.mask, lambda m: m[:, :, :-1].astype(np.uint8))


@corruption("mask.nii.gz", "its affine differs from the scan's")
def a_moved_mask(s):
    data, affine = read_image(s.mask)
    affine = affine.copy()
    affine[0, 3] += 3
    write_image(s.mask, data.astype(np.uint8), affine)


@corruption("mask.nii.gz", "has 4 dimensions")
def a_mask_of_each_volume(s):
    s.change(s.mask, lambda m: np.stack([m, m], axis=-1))


@corruption("mask.nii.gz", "the brain mask is empty")
def an_empty_mask(s):
    s.change(s.mask, lambda m: 0 * m)


@corruption("mask.nii.gz", "the brain mask is full")
def a_full_mask(s):
    s.change(s.mask, lambda m: 0 * m + 1)


@corruption("mask.nii.gz", "holds more than two values")
def labels_as_mask(s):
    s.change(s.mask, lambda m: m * np.arange(m.shape[0])[:, None, None])


@corruption("mask.nii.gz", "of the brain have no signal in")
def a_side_without_signal(s):
    """Within s.mask."""

    def change(data):
        data[1] = 0
        return data

    s.change(s.dwi, change)


@corruption("mask.nii.gz", "is a mask of the same scan")
def two_masks(s):
    shutil.copy(s.mask, str(s.mask).replace("desc-brain", "desc-head"))


@corruption("dwi.json", "not valid JSON")
def broken_sidecar(s):
    s.sidecar.write_text("{EchoTime: 0.089")


@corruption("dwi.json", "holds no JSON object")
def a_list_as_sidecar(s):
    s.sidecar.write_text("[0.089]")


@corruption("dwi.json", "EchoTime is 89; BIDS wants seconds")
def echo_time_in_milliseconds(s):
    s.sidecar.write_text('{"EchoTime": 89}')


@corruption("dwi.json", 'EchoTime is "89 ms", no number')
def echo_time_in_words(s):
    s.sidecar.write_text('{"EchoTime": "89 ms"}')


@corruption("dwi.json", 'PartialFourier is "6/8", no number')
def partial_fourier_in_words(s):
    s.sidecar.write_text('{"PartialFourier": "6/8"}')


@corruption("dwi.json", "is not UTF-8 text")
def a_sidecar_in_latin_1(s):
    s.sidecar.write_bytes('{"InstitutionName": "Universität"}'.encode("latin-1"))


@corruption("dwi.json", "holds NaN, which JSON lacks")
def a_nan_in_a_sidecar(s):
    s.sidecar.write_text('{"EchoTime": 0.089, "RepetitionTime": NaN}')


@corruption("dataset_description.json", "is not UTF-8 text")
def a_description_in_latin_1(s):
    text = '{"Name": "Größe", "BIDSVersion": "1.8.0"}'
    (s.root / "dataset_description.json").write_bytes(text.encode("latin-1"))


@corruption("dataset_description.json", "no such file; BIDS wants one")
def no_description(s):
    (s.root / "dataset_description.json").unlink()


@corruption("dataset_description.json", "not valid JSON")
def broken_description(s):
    (s.root / "dataset_description.json").write_text("Name: Small")


@corruption("dataset_description.json", "says nothing of BIDSVersion")
def description_without_version(s):
    (s.root / "dataset_description.json").write_text('{"Name": "Small"}')


@corruption("sub-b", "no scan on platform new (ses-prisma acq-st)")
def a_platform_less(s):
    shutil.rmtree(s.folder)


@corruption("dwi.nii.gz", "fits sub-b_ses-prisma_acq-st_run-2_desc-preproc_dwi.nii.gz as well")
def two_runs(s):
    for path in s.folder.iterdir():
        shutil.copy(path, str(path).replace("_desc", "_run-2_desc"))


@corruption("sub-d", "no such folder; copy it or change dataset.subjects")
def a_subject_less(s):
    s.config = merge(CONFIG, {"dataset": {"subjects": ["a", "b", "d"]}})


@corruption("bids", "holds 2 subjects, dataset.subjects asks for 3")
def too_few_subjects(s):
    shutil.rmtree(s.root / "sub-c")


@corruption("bids", "no folder sub-<label> in it; give the data set's root")
def not_a_data_set(s):
    for subject in "abc":
        shutil.rmtree(s.root / f"sub-{subject}")


@corruption("nowhere", "no such folder; change dataset.root")
def no_data_set(s):
    s.root = s.root / "nowhere"


def test_at_least_forty_corruptions_differ():
    findings = {(named, finding) for _, named, finding in CORRUPTIONS.values()}
    assert len(findings) == len(CORRUPTIONS) >= 40


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_refused_with_the_name_of_its_file(study, name):
    spoil, named, finding = CORRUPTIONS[name]
    spoil(study)
    problems = study.problems()
    matching = [p for p in problems if finding in p]
    assert matching, problems
    path, _ = matching[0].split(": ", 1)
    assert path.endswith(named) or Path(path).name.endswith(named)
    assert all("\n" not in problem for problem in problems)


def test_one_scan_for_two_platforms_is_refused(study):
    study.config = merge(CONFIG, {"platforms": {"new": {"session": "ge"}}})
    problems = [p for p in study.problems() if "platforms.new: its scan is that of 'old'" in p]
    assert len(problems) == 3


@pytest.fixture
def raw_study(study):
    """The same scans before preprocessing; they need no masks."""
    for path in study.root.rglob("*_desc-*"):
        if "mask" in path.name:
            path.unlink()
        else:
            path.rename(path.with_name(path.name.replace("_desc-preproc", "")))
    study.stem = study.stem.replace("_desc-preproc", "")
    study.config = merge(CONFIG, {"dataset": {"kind": "raw"}})
    return study


OF_RAW_SCANS = [
    name
    for name, (spoil, *_) in CORRUPTIONS.items()
    if not {"s.mask", "desc", "merge"} & set(re.findall(r"s\.mask|desc|merge", getsource(spoil)))
]


def test_a_valid_raw_data_set_has_no_problems(raw_study):
    assert raw_study.problems() == []
    assert len(OF_RAW_SCANS) > 45


@pytest.mark.parametrize("name", OF_RAW_SCANS)
def test_a_raw_scan_is_refused_for_the_same_reasons(raw_study, name):
    spoil, named, finding = CORRUPTIONS[name]
    spoil(raw_study)
    matching = [p for p in raw_study.problems() if finding in p]
    assert matching, raw_study.problems()
    path, _ = matching[0].split(": ", 1)
    assert path.endswith(named) or Path(path).name.endswith(named)


def test_a_raw_scan_without_contrast_is_refused(raw_study):
    """It has no brain to look at."""
    volumes = np.arange(len(np.loadtxt(raw_study.bval)), dtype=np.float32)
    raw_study.change(raw_study.dwi, lambda data: 0 * data + 100 + volumes)
    (problem,) = raw_study.problems()
    assert "volume 0 has the same value all over the brain" in problem


def test_a_raw_scan_has_a_mask_where_the_run_makes_none(raw_study):
    raw_study.config = merge(raw_study.config, {"preprocessing": {"mask": False}})
    assert len([p for p in raw_study.problems() if "has no brain mask" in p]) == 6


def test_scans_of_the_source_are_stored_alike(study):
    """Those of the target need not be, as they are brought to the source's grid."""
    study.folder = study.root / "sub-c/ses-ge/dwi"
    study.stem = "sub-c_ses-ge_acq-st_desc-preproc_dwi"
    mask = study.folder / "sub-c_ses-ge_acq-st_desc-brain_mask.nii.gz"
    bvals, directions = gradient_scheme({1200: 30}, 2)
    larger = AFFINE * [1.1, 1.1, 1.1, 1]
    for path in (study.dwi, mask):
        write_image(path, read_image(path)[0], larger)
    write_gradients(study.bval, study.bvec, bvals, directions, larger)
    (problem,) = study.problems()
    assert problem.startswith(f"{study.dwi}: its voxels are 2.64 x 2.64 x 2.64 mm, not 2.4")
    assert "sub-a/ses-ge" in problem


def test_all_problems_come_in_one_report(study):
    a_lost_slice(study)
    long_directions(study)
    broken_description(study)
    (study.root / "sub-a/ses-ge/dwi/sub-a_ses-ge_acq-st_desc-preproc_dwi.bval").unlink()
    found = "\n".join(study.problems())
    for finding in ("no such file, nor .bvals", "length 1.5", "not valid JSON"):
        assert finding in found


# --- What is odd but valid

ODDITIES = {}


@given(
    st.sampled_from([1.0, -1.0]),
    st.floats(-30, 30),
    st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3)),
)
@example(-1.0, -12.0, (0.04, 0.03))
def test_the_rounding_of_a_quaternion_moves_no_scan(left, pitch, others):
    """It does most where nearly nothing but an axis is turned round, as from right to left."""
    affine, shape = np.eye(4), (140, 140, 90)
    turn = Rotation.from_euler("xyz", [pitch, *others], degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.diag([1.5 * left, 1.5, 1.5])
    header = nib.Nifti1Header()
    header.set_qform(affine)
    assert not are_apart(affine, header.get_qform(), shape)
    affine[0, 3] += 0.2
    assert are_apart(affine, header.get_qform(), (1, 1, 1))


def oddity(function):
    ODDITIES[function.__name__] = function
    return function


@oddity
def doubles(s):
    s.change(s.dwi, lambda d: d.astype(np.float64))


@oddity
def another_gzip_level(s):
    s.dwi.write_bytes(gzip.compress(gzip.decompress(s.dwi.read_bytes()), 9))


@oddity
def no_compression(s):
    s.file(".nii").write_bytes(gzip.decompress(s.dwi.read_bytes()))
    s.dwi.unlink()


@oddity
def integers_with_a_scale(s):
    data, affine = read_image(s.dwi)
    image = nib.Nifti1Image(data, affine)
    image.header.set_data_dtype(np.int16)
    nib.save(image, s.dwi)


@oddity
def nifti_2(s):
    data, affine = read_image(s.dwi)
    nib.save(nib.Nifti2Image(data, affine), s.dwi)


@oddity
def big_endian(s):
    data, affine = read_image(s.dwi)
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(">f4")
    nib.save(nib.Nifti1Image(data.astype(">f4"), affine, header), s.dwi)


@oddity
def tall_bvecs(s):
    np.savetxt(s.bvec, np.loadtxt(s.bvec).T)


@oddity
def tabs_and_carriage_returns(s):
    for path in (s.bval, s.bvec):
        path.write_bytes(path.read_bytes().replace(b" ", b"\t").replace(b"\n", b"\r\n"))


@oddity
def plural_tables(s):
    s.bval.rename(s.file(".bvals"))
    s.bvec.rename(s.file(".bvecs"))


@oddity
def five_for_zero(s):
    s.bval.write_text(" ".join("5" if b == "0" else b for b in s.bval.read_text().split()))


@oddity
def jittering_bvals(s):
    values = np.loadtxt(s.bval)
    np.savetxt(s.bval, values + np.where(values > 0, np.arange(32) % 5 * 5 - 10, 0), newline=" ")


@oddity
def an_extra_shell(s):
    data, affine = read_image(s.dwi)
    write_image(s.dwi, np.concatenate([data, data[..., 2:] / 2], axis=-1), affine)
    bvals, directions = np.loadtxt(s.bval), np.loadtxt(s.bvec)
    np.savetxt(s.bval, np.r_[bvals, 2.5 * bvals[2:]][None])
    np.savetxt(s.bvec, np.c_[directions, directions[:, 2:]])


@oddity
def rounded_directions(s):
    np.savetxt(s.bvec, np.loadtxt(s.bvec), fmt="%.3f")


@oddity
def no_sidecar(s):
    s.sidecar.unlink()


@oddity
def a_mask_of_255(s):
    s.change(s.mask, lambda m: (255 * m).astype(np.uint8))


@oddity
def an_oblique_grid(s):
    turn = Rotation.from_euler("xyz", [20, -10, 5], degrees=True).as_matrix()
    for path in (s.dwi, s.mask):
        data, affine = read_image(path)
        affine = affine.copy()
        affine[:3, :3] = turn @ affine[:3, :3]
        write_image(path, data, affine)


@oddity
def a_few_negative_values(s):
    """Spline interpolation leaves them."""

    def change(data):
        data[3, 3, 3, 8] = -1
        return data

    s.change(s.dwi, change)


@oddity
def a_byte_order_mark(s):
    for path in (s.bval, s.bvec):
        path.write_text("\ufeff" + path.read_text(), encoding="utf-8")


@oddity
def a_low_shell_brighter_than_a_late_b0(s):
    """A scanner that drifts by a few per cent."""
    values = s.bval.read_text().split()
    weighted = values.index("1200")
    values[weighted] = "60"
    s.bval.write_text(" ".join(values))

    def change(data):
        data[..., weighted] = 1.01 * data[..., 0]
        return data

    s.change(s.dwi, change)


@oddity
def nan_directions_of_b0(s):
    directions = np.loadtxt(s.bvec)
    directions[:, np.loadtxt(s.bval) < 50] = np.nan
    np.savetxt(s.bvec, directions)


@oddity
def trailing_dimensions_of_one(s):
    for path in (s.dwi, s.mask):
        data, affine = read_image(path)
        nib.save(nib.Nifti1Image(data[..., None, None], affine), path)


@oddity
def a_quaternion_longer_than_1_by_rounding(s):
    s.patch_header(s.dwi, 252, struct.pack("<hh", 1, 0))
    s.patch_header(s.dwi, 256, struct.pack("<3f", 0.70710725, 0.70710725, 0))
    affine = read_image(s.dwi)[1]
    s.change(s.mask, lambda m: m)
    write_image(s.mask, read_image(s.mask)[0], affine)


def linked(s, parent: Path) -> None:
    elsewhere = s.root.parent / "elsewhere"
    parent.rename(elsewhere)
    parent.symlink_to(elsewhere)


@oddity
def a_linked_subject(s):
    linked(s, s.folder.parent.parent)


@oddity
def a_linked_session(s):
    linked(s, s.folder.parent)


@oddity
def a_linked_folder_of_scans(s):
    linked(s, s.folder)


@oddity
def a_linked_scan(s):
    linked(s, s.dwi)


@oddity
def a_sidecar_with_a_byte_order_mark(s):
    s.sidecar.write_bytes(b"\xef\xbb\xbf" + s.sidecar.read_bytes())


@oddity
def a_mask_of_0_4(s):
    s.change(s.mask, lambda m: np.float32(0.4 * m))


@oddity
def a_probability_as_mask(s):
    s.change(s.mask, lambda m: np.float32(np.where(m > 0, 0.9, np.where(m.cumsum(0) > 0, 0.1, 0))))


@oddity
def a_mask_that_leaves_bright_voxels_out(s):
    """White matter alone: cerebrospinal fluid is brighter at b=0."""

    def change(data):
        data[0] = 3000 + 50 * np.arange(data.shape[-1])[::-1]
        return data

    s.change(s.dwi, change)


@oddity
def a_few_voxels_without_signal(s):
    def change(data):
        data[1, 1, 1:4] = 0
        return data

    s.change(s.dwi, change)


@oddity
def a_header_without_orientation(s):
    for path in (s.dwi, s.mask):
        s.patch_header(path, 252, struct.pack("<hh", 0, 0))


@oddity
def a_table_in_world_axes(s):
    directions = gradient_scheme({1200: 30}, 2)[1]
    np.savetxt(s.file(".b"), np.c_[directions, np.loadtxt(s.bval)])


@oddity
def more_subjects_than_used(s):
    shutil.copytree(s.root / "sub-a", s.root / "sub-unused")


def test_at_least_ten_oddities():
    assert len(ODDITIES) >= 10


@pytest.mark.parametrize("name", ODDITIES)
def test_an_oddity_is_accepted(study, name):
    ODDITIES[name](study)
    assert study.problems() == []


# --- Finding scans


def test_entities_are_read_from_names():
    name = Path("sub-1_ses-a_dir-AP_space-T1w_desc-preproc_dwi.nii.gz")
    wanted = {"sub": "1", "ses": "a", "dir": "AP", "space": "T1w", "desc": "preproc"}
    assert entities_of(name) == wanted


def test_qsiprep_names_are_found(study):
    for path in study.folder.iterdir():
        new = path.name.replace("_acq-st", "_dir-AP_space-ACPC")
        path.rename(path.with_name(new))
    platform = {"session": "prisma", "direction": "AP", "description": "preproc"}
    scan = find_scan(study.root, "b", "new", platform)
    assert Path(scan.dwi).name == "sub-b_ses-prisma_dir-AP_space-ACPC_desc-preproc_dwi.nii.gz"
    assert Path(scan.mask).name == "sub-b_ses-prisma_dir-AP_space-ACPC_desc-brain_mask.nii.gz"


def test_entities_that_have_no_key_of_their_own_are_named_too(study):
    for path in list(study.folder.iterdir()):
        for space in ("T1w", "ACPC"):
            shutil.copy(path, path.with_name(path.name.replace("_desc", f"_space-{space}_desc")))
        path.unlink()
    platform = {"session": "prisma", "acquisition": "st"}
    with pytest.raises(InputError, match=r"name more entities under platforms\.new"):
        find_scan(study.root, "b", "new", platform)
    scan = find_scan(study.root, "b", "new", {**platform, "entities": {"space": "ACPC"}})
    assert "_space-ACPC_" in scan.dwi
    assert "_space-ACPC_" in scan.mask


def test_entities_come_in_the_order_of_bids():
    platform = {"session": "A", "run": "2", "entities": {"space": "T1w", "rec": "norm"}}
    path = raw_scan("1", platform)["dwi"]
    assert path == "sub-1/ses-A/dwi/sub-1_ses-A_rec-norm_run-2_space-T1w_dwi.nii.gz"


def test_a_label_that_lost_its_zeros_is_told(study):
    (study.root / "sub-a").rename(study.root / "sub-01")
    with pytest.raises(InputError, match=r"sub-1: no such folder; .* \(YAML reads 01 as a number"):
        choose_subjects(study.root, ["1", "b", "c"])


def test_a_label_is_not_matched_by_its_beginning(study):
    with pytest.raises(InputError, match="no scan on platform new"):
        find_scan(study.root, "b", "new", {"session": "prism"})


def test_hidden_folders_are_no_subjects(study):
    root = study.root.parent / "released"
    for name in (".git", "__MACOSX", "B", "A"):
        (root / name).mkdir(parents=True)
    assert choose_subjects(root, 2, prefix="") == ["A", "B"]
    with pytest.raises(InputError, match=r"holds 2 subjects, dataset.subjects asks for 3"):
        choose_subjects(root, 3, prefix="")


def test_subjects_are_the_first_or_those_listed(study):
    (study.root / "sub-Müller").mkdir()  # no label of BIDS
    assert choose_subjects(study.root, 2) == ["a", "b"]
    assert choose_subjects(study.root, ["c", "a"]) == ["c", "a"]


# --- The command


def report(command, study, tmp_path, **changes):
    config = tmp_path / "run.yaml"
    settings = {
        "platforms": PLATFORMS,
        "source": "old",
        "targets": ["new"],
        "methods": ["identity"],
    }
    dataset = {"kind": "bids", "root": str(study.root), "subjects": 3}
    config.write_text(yaml.safe_dump({**settings, "dataset": {**dataset, **changes}}))
    return command("validate_dataset", {"config": config}, study.root)


def test_the_command_reports_and_fails(command, study, tmp_path):
    assert report(command, study, tmp_path) == (0, "")
    long_directions(study)
    no_description(study)
    status, error = report(command, study, tmp_path)
    assert status == 1
    *problems, last = error.splitlines()
    assert len(problems) == 2
    assert last == f"error: {study.root}: 2 problems, above"
    assert "Traceback" not in error


def test_platforms_of_ones_own_have_nothing_of_the_phantoms(command, study, tmp_path):
    """The phantom's have entities that scans of another data set need not have."""
    for path in study.root.rglob("*_acq-st*"):
        path.rename(path.with_name(path.name.replace("_acq-st", "")))
    config = {
        "platforms": {n: {"session": n[:-3], "scale": 1} for n in ("ge_st", "prisma_st")},
        "source": "ge_st",
        "targets": ["prisma_st"],
        "methods": ["identity"],
        "dataset": {"kind": "bids", "root": str(study.root), "subjects": 3},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    assert command("validate_dataset", {"config": tmp_path / "run.yaml"}, study.root) == (0, "")


def test_the_root_may_be_the_arguments_alone(command, study, tmp_path):
    assert report(command, study, tmp_path, root=None) == (0, "")


def test_scans_that_are_imported_first_are_left_to_the_run(command, study):
    config = ROOT / "config/paper.yaml"
    status, error = command("validate_dataset", {"config": config}, study.root)
    assert (status, len(error.splitlines())) == (1, 1)
    assert "a run checks the scans of mushac itself" in error


WARNINGS = {
    a_mask_that_leaves_bright_voxels_out: "the scan is brighter outside it than inside",
    a_few_voxels_without_signal: "of the brain have no signal in",
    a_header_without_orientation: "says nothing about orientation (both codes are 0)",
}


@pytest.mark.parametrize("spoil", WARNINGS, ids=lambda spoil: spoil.__name__)
def test_what_is_suspicious_is_a_warning(study, command, tmp_path, spoil):
    assert study.warnings() == []
    spoil(study)
    (warning,) = study.warnings()
    assert WARNINGS[spoil] in warning
    assert report(command, study, tmp_path) == (0, "")
    assert f"warning: {warning}" in command.said


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (b"- a\n- b\n", "holds no keys with values at its top level"),
        (b"a: [", "not valid YAML"),
        ("run: Größe".encode("latin-1"), "is no text in UTF-8"),
    ],
)
def test_a_configuration_that_is_none_is_one_line(command, study, tmp_path, content, finding):
    config = tmp_path / "run.yaml"
    config.write_bytes(content)
    status, error = command("validate_dataset", {"config": config}, study.root)
    assert (status, len(error.splitlines())) == (1, 1)
    assert finding in error


# --- What the workflow does: a scan by itself, then what only all scans tell


def validated(command, study, folder):
    options = {role: getattr(study, role) for role in ("dwi", "bval", "bvec", "mask", "sidecar")}
    ends = {"bval": "bval", "bvec": "bvec", "mask": "nii.gz", "sidecar": "json", "report": "txt"}
    written = {f"valid-{role}": folder / f"valid_{role}.{end}" for role, end in ends.items()}
    if not study.sidecar.exists():
        options.pop("sidecar")
    settings = {"platform": "new", "convention": "fsl"}
    return command("validate_scan", {**options, **settings, **written}), written


def test_a_valid_scan_keeps_its_tables_to_the_byte(command, study, tmp_path):
    (status, error), written = validated(command, study, tmp_path / "out")
    assert (status, error) == (0, "")
    assert written["valid-bval"].read_bytes() == study.bval.read_bytes()
    assert written["valid-bvec"].read_bytes() == study.bvec.read_bytes()
    np.testing.assert_array_equal(read_image(written["valid-mask"])[0], read_image(study.mask)[0])
    report = read_json(written["valid-report"])
    assert report["platform"] == "new"
    assert report["convention"] == "fsl"
    assert np.shape(report["directions"]) == (32, 3)


@pytest.mark.parametrize(
    "spoil", [a_mask_of_255, a_mask_of_0_4, a_probability_as_mask], ids=lambda s: s.__name__
)
def test_any_mask_becomes_0_and_1(command, study, tmp_path, spoil):
    before = read_image(study.mask)[0]
    spoil(study)
    (status, _), written = validated(command, study, tmp_path / "out")
    assert status == 0
    np.testing.assert_array_equal(read_image(written["valid-mask"])[0], before)


def test_voxels_without_signal_leave_the_mask(command, study, tmp_path):
    before = read_image(study.mask)[0]
    a_few_voxels_without_signal(study)
    (status, _), written = validated(command, study, tmp_path / "out")
    assert status == 0
    before[1, 1, 1:4] = 0
    np.testing.assert_array_equal(read_image(written["valid-mask"])[0], before)


def test_a_broken_scan_leaves_nothing_behind(command, study, tmp_path):
    long_directions(study)
    broken_sidecar(study)
    (status, error), _ = validated(command, study, tmp_path / "out")
    assert status == 1
    first, last = error.splitlines()
    assert "not valid JSON" in first
    assert last.startswith(f"error: {study.bvec}: the direction of volume 2 has length 1.5")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({}, ""),
        ({"bvals": [0, 0] + [3000] * 30}, "x.bval: no volume at b=1200; its shells are [3000]"),
        ({"sha256": "1"}, "x.nii: the same file as y.nii"),
        ({"directions": [[0, 0, 1.0]] * 32}, "x.bvec: 1 distinct directions at b=1200"),
        ({"layout": LAYOUT | {"axes": "LAS"}}, "x.nii: its voxels run to LAS, not to RAS as in y"),
        ({"layout": LAYOUT | {"axes": "LAS"}, "platform": "new"}, ""),
    ],
)
def test_reports_tell_what_a_scan_alone_does_not(study, command, tmp_path, change, finding):
    bvals, directions = gradient_scheme({1200: 30}, 2)
    good = {"platform": "old", "bvals": bvals.tolist(), "directions": directions.tolist()}
    good["layout"] = LAYOUT
    files = {"dwi": "y.nii", "bval": "y.bval", "bvec": "y.bvec", "sha256": "1"}
    other = {role: name.replace("y", "x") for role, name in files.items()} | {"sha256": "2"}
    reports = [tmp_path / "1.json", tmp_path / "2.json"]
    write_json(reports[0], good | files)
    write_json(reports[1], good | other | change)
    config = tmp_path / "run.yaml"
    settings = {"platforms": PLATFORMS, "source": "old", "targets": ["new"]}
    dataset = {"kind": "bids", "root": str(study.root), "subjects": 3}
    config.write_text(yaml.safe_dump({**settings, "dataset": dataset}))
    options = {"config": config, "reports": reports, "output": tmp_path / "validation.txt"}
    status, error = command("validate_dataset", options, "--", study.root)
    assert status == (1 if finding else 0)
    assert finding in error
    assert options["output"].exists() == (not finding)


def test_the_same_directions_in_every_orientation(study):
    """World directions do not depend on how the voxels of a scan are stored."""
    bvals, directions = gradient_scheme({1200: 30}, 2)
    for axes in ([1, 1, 1], [-1, 1, 1], [-1, -1, 1], [1, -1, -1]):
        affine = AFFINE @ np.diag([*axes, 1.0])
        write_gradients(study.bval, study.bvec, bvals, directions, affine)
        again = read_gradients(study.bval, study.bvec, affine)[1]
        np.testing.assert_allclose(again, directions, atol=1e-6)


def test_the_schema_knows_every_entity():
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    keys = schema["properties"]["platforms"]["additionalProperties"]["properties"]
    assert set(ENTITIES) <= set(keys)
