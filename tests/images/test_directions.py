"""Gradient tables with flipped or exchanged axes are told by the image itself."""

import nibabel as nib
import numpy as np
import pytest
from conftest import ROOT
from scipy.spatial.transform import Rotation

from harmonization.data.bids import (
    axes_of_bvec,
    find_convention,
    read_gradients,
    write_gradients,
)
from harmonization.data.validation import validate_scan
from harmonization.files import InputError
from harmonization.images.directions import (
    READINGS,
    agreement,
    misread_by_itself,
    name_of,
    orientation_field,
)
from harmonization.images.nifti import write_image
from harmonization.phantom.acquisition import acquire, gradient_scheme
from harmonization.phantom.people import Person
from harmonization.plan.phantom import read_parameters
from harmonization.plan.scans import FoundScan, bvec_convention

PARAMETERS = read_parameters(ROOT / "config/travelling_heads.yaml")


@pytest.fixture(scope="module")
def head(atlas):
    scan = acquire(Person(atlas, PARAMETERS, 2019, "01"), "ge_st", "scan", [1200], (20.0, 19.2))
    scan.add_noise()
    return scan


def test_the_readings_are_all_different():
    assert len(READINGS) == 24
    vectors = np.array([[0.2, 0.3, 0.9]])
    read = {tuple(np.sign(v[2]) * v) for v in (vectors @ r.T for r in READINGS) for v in v}
    assert len(read) == 24
    assert len({name_of(reading) for reading in READINGS}) == 24
    assert name_of(READINGS[0]) == "no change"


@pytest.mark.parametrize("reading", READINGS, ids=name_of)
def test_every_misread_table_is_found_with_the_change_that_mends_it(head, reading):
    field = orientation_field(head.signal, head.mask, head.bvals, head.directions @ reading.T)
    found = misread_by_itself(field, head.mask, head.affine, np.eye(3))
    if (reading == np.eye(3)).all():
        assert found is None
    else:
        restored = np.abs(head.directions @ reading.T @ found.T)
        np.testing.assert_allclose(restored, np.abs(head.directions), atol=1e-6)
        products = np.einsum("ni,ni->n", head.directions @ reading.T @ found.T, head.directions)
        assert (np.abs(products[head.bvals > 50]) > 0.999).all()


def test_an_image_without_fibres_gives_no_verdict(rng):
    bvals, directions = gradient_scheme({1200: 30}, 2)
    dwi = 100 + rng.standard_normal((12, 12, 12, len(bvals))).astype(np.float32)
    mask = np.ones((12, 12, 12), np.uint8)
    field = orientation_field(dwi, mask, bvals, directions)
    assert misread_by_itself(field, mask, np.eye(4), np.eye(3)) is None
    assert orientation_field(dwi[..., :6], mask, bvals[:6], directions[:6]) is None


def test_agreement_is_largest_as_read_and_follows_a_misread_table(rng):
    tensors = rng.standard_normal((200, 3, 3))
    tensors = tensors + tensors.transpose(0, 2, 1)
    tensors -= np.trace(tensors, axis1=1, axis2=2)[:, None, None] / 3 * np.eye(3)
    axes = Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix()
    same = agreement(tensors, tensors + 0.1 * rng.standard_normal((200, 1, 1)) * np.eye(3), axes)
    assert same.argmax() == 0
    world = axes @ READINGS[2] @ axes.T
    flipped = agreement(tensors, world @ tensors @ world.T, axes)
    assert flipped.argmax() == 2
    assert flipped[2] == pytest.approx(1)


# --- The convention of a table


def write_as_qsiprep(scan, folder, world_table):
    """Store a scan from front to back and right to left, with a table along the image's axes."""
    change = nib.orientations.ornt_transform(
        nib.io_orientation(scan.affine), nib.orientations.axcodes2ornt("LPS")
    )
    files = {role: folder / f"scan_{role}.nii.gz" for role in ("dwi", "mask")}
    for role, data in (("dwi", scan.signal), ("mask", scan.mask)):
        stored = nib.Nifti1Image(data, scan.affine).as_reoriented(change)
        write_image(files[role], np.asarray(stored.dataobj), stored.affine)
    rotation = nib.affines.rescale_affine(stored.affine, (2, 2, 2), 1)[:3, :3]
    files |= {"bval": folder / "scan.bval", "bvec": folder / "scan.bvec"}
    np.savetxt(files["bval"], scan.bvals[None])
    np.savetxt(files["bvec"], (scan.directions @ rotation).T)
    if world_table:
        files["b_table"] = folder / "scan.b"
        np.savetxt(files["b_table"], np.c_[scan.directions, scan.bvals])
    return FoundScan(**{role: str(path) for role, path in files.items()})


@pytest.mark.parametrize(("convention", "world_table"), [("image", False), ("fsl", True)])
def test_a_scan_of_qsiprep_is_read_as_it_means(head, tmp_path, convention, world_table):
    scan = write_as_qsiprep(head, tmp_path, world_table)
    valid, problems = validate_scan(scan, convention)
    assert problems == []
    assert valid.convention == "image"
    products = np.einsum("ni,ni->n", valid.directions, head.directions)
    assert (products[head.bvals > 50] > 0.999).all()


def test_a_scan_of_qsiprep_read_as_fsls_is_refused_with_the_setting_that_mends_it(head, tmp_path):
    _, problems = validate_scan(write_as_qsiprep(head, tmp_path, False), "fsl")
    assert len(problems) == 1
    assert problems[0].startswith(f"{tmp_path}/scan.bvec: fibres continue better with x reversed")
    assert (
        "if the tables mean other axes, read them as image (dataset.bvec_convention, or"
        in problems[0]
    )


def test_a_world_table_says_nothing_where_both_conventions_agree(tmp_path):
    bvals, directions = gradient_scheme({1200: 30}, 2)
    affine = np.diag([-2.0, 2, 2, 1])
    files = [tmp_path / name for name in ("bval", "bvec", "b")]
    write_gradients(files[0], files[1], bvals, directions, affine)
    np.savetxt(files[2], np.c_[directions, bvals])
    assert find_convention(*files, affine) is None
    assert find_convention(*files[:2], files[2], np.diag([-2.0, 2, 2, 1])) is None
    np.savetxt(files[2], np.c_[directions[:, ::-1], bvals])
    with pytest.raises(InputError, match="however its axes are read"):
        find_convention(*files, affine)


def test_conventions_differ_only_where_the_affine_is_right_handed(tmp_path):
    bvals, directions = gradient_scheme({1200: 30}, 2)
    for sign, same in ((-1, True), (1, False)):
        affine = np.diag([sign * 2.0, 2, 2, 1])
        files = tmp_path / "bval", tmp_path / "bvec"
        write_gradients(*files, bvals, directions, affine)
        as_fsl = read_gradients(*files, affine)[1]
        as_image = read_gradients(*files, affine, "image")[1]
        np.testing.assert_allclose(as_fsl, directions, atol=1e-6)
        assert np.allclose(as_fsl, as_image) == same
        flip = axes_of_bvec(affine) @ axes_of_bvec(affine, "image").T
        np.testing.assert_allclose(as_image @ flip.T, directions, atol=1e-6)


@pytest.mark.parametrize(
    ("description", "declared", "convention"),
    [
        ('{"GeneratedBy": [{"Name": "QSIPrep", "Version": "1.0"}]}', "auto", "image"),
        ('{"GeneratedBy": [{"Name": "FSL"}]}', "auto", "fsl"),
        ('{"GeneratedBy": [{"Name": "qsiprep"}]}', "fsl", "fsl"),
        ('{"Name": "Study"}', "auto", "fsl"),
        ('{"Name": "Study"}', "image", "image"),
        ("no JSON", "auto", "fsl"),
        ("[]", "auto", "fsl"),
        (None, "auto", "fsl"),
    ],
)
def test_the_maker_of_a_data_set_tells_its_convention(tmp_path, description, declared, convention):
    if description is not None:
        (tmp_path / "dataset_description.json").write_text(description)
    assert bvec_convention(declared, tmp_path) == convention
