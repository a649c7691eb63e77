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
from scipy.spatial.transform import Rotation

from harmonization.data.bids import read_gradients, write_dataset_description, write_gradients
from harmonization.data.validation import validate_dataset
from harmonization.files import InputError, write_json
from harmonization.images.nifti import read_image, write_image
from harmonization.phantom.acquisition import gradient_scheme
from harmonization.plan.configuration import merge
from harmonization.plan.scans import ENTITIES, choose_subjects, entities_of, find_scan

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
        return validate_dataset(self.config, self.root)


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


@corruption("dwi.nii.gz", "sform and qform place it differently")
def two_places(s):
    def change(image):
        image.set_sform(image.affine, code=1)
        moved = image.affine.copy()
        moved[0, 3] += 5
        image.set_qform(moved, code=1)

    s.change_header(change)


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


@corruption("mask.nii.gz", "is it inverted?")
def an_inverted_mask(s):
    s.change(s.mask, lambda m: 1 - m)


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
