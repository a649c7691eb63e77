"""Pictures of scans look the same however the scans are stored."""

import nibabel as nib
import numpy as np
import pytest

from harmonization.files import write_json
from harmonization.images.nifti import read_image, write_image

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def stored(path, order):
    """The same image with its voxels in another order; each keeps its place in the world."""
    image, affine = read_image(path)
    there = nib.orientations.axcodes2ornt(order)
    changed = nib.as_closest_canonical(nib.Nifti1Image(image, affine)).as_reoriented(there)
    name = path.with_name(f"{order}-{path.name}")
    write_image(name, np.asarray(changed.dataobj), changed.affine)
    return name


@pytest.fixture
def scan(tmp_path, rng):
    """A b=0 volume and one with diffusion weighting, b-values, and coefficients of order 2."""
    path = tmp_path / "dwi.nii"
    write_image(path, rng.random((10, 12, 8, 2), dtype=np.float32), AFFINE)
    write_image(tmp_path / "sh.nii", rng.random((10, 12, 8, 6), dtype=np.float32), AFFINE)
    (tmp_path / "dwi.bval").write_text("0 1200\n")
    return path


@pytest.mark.parametrize("order", ["LPS", "PSR"])
def test_platforms_are_seen_with_the_front_up(command, scan, tmp_path, order):
    pictures, coefficients = [], tmp_path / "sh.nii"
    for dwi, sh in ((scan, coefficients), (stored(scan, order), stored(coefficients, order))):
        picture = tmp_path / f"{dwi.stem}.png"
        options = {"platforms": "a", "dwi": dwi, "bval": tmp_path / "dwi.bval", "sh": sh}
        options |= {"subject": "01", "output": picture}
        assert command("plot_platforms", options) == (0, "")
        pictures.append(picture.read_bytes())
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize("order", ["LPS", "PSR"])
def test_registrations_are_seen_in_an_axial_and_a_sagittal_plane(command, scan, tmp_path, order):
    np.savetxt(tmp_path / "there.txt", np.eye(4))
    write_json(tmp_path / "there.json", {"similarity_before": 0.5, "similarity_after": 0.9})
    pictures = []
    for fixed in (scan, stored(scan, order)):
        picture = tmp_path / f"{fixed.stem}.png"
        options = {"fixed": [fixed, tmp_path / "dwi.bval"], "labels": "a", "dwi": scan}
        options |= {"bval": tmp_path / "dwi.bval", "transforms": tmp_path / "there.txt"}
        options |= {"qualities": tmp_path / "there.json", "title": "t", "output": picture}
        assert command("plot_registration", options) == (0, "")
        pictures.append(picture.read_bytes())
    assert pictures[0] == pictures[1]
