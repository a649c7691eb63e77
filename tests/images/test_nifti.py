"""Images are read as their headers say, whatever their type."""

import nibabel as nib
import numpy as np
import pytest

from harmonization.images.nifti import read_image


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.int32, np.float32, np.float64])
@pytest.mark.parametrize(("slope", "inter"), [(1, 0), (0.0037, 0), (2.5, -1024)])
def test_scaling_agrees_with_nibabel(tmp_path, rng, dtype, slope, inter):
    stored = rng.integers(0, 200, (4, 5, 6, 3)).astype(dtype)
    image = nib.Nifti1Image(stored, np.eye(4))
    image.header.set_slope_inter(slope, inter)
    # nibabel scales what it writes, so that the values read are those of `stored`.
    nib.save(image, tmp_path / "scaled.nii")
    data, _ = read_image(tmp_path / "scaled.nii")
    assert data.dtype == np.float32
    expected = nib.load(tmp_path / "scaled.nii").get_fdata()
    np.testing.assert_allclose(data, expected, rtol=1e-6, atol=1e-6 * abs(inter))
    some, _ = read_image(tmp_path / "scaled.nii", np.array([2, 0]))
    np.testing.assert_allclose(some, expected[..., [2, 0]], rtol=1e-6, atol=1e-6 * abs(inter))


def test_a_series_of_the_full_range_of_16_bits_keeps_every_value(tmp_path):
    stored = np.arange(-(2**15), 2**15, dtype=np.int16).reshape(64, 64, 16)
    nib.save(nib.Nifti1Image(stored, np.eye(4)), tmp_path / "all.nii.gz")
    data, _ = read_image(tmp_path / "all.nii.gz")
    np.testing.assert_array_equal(data, stored)
