"""Removal of Gibbs ringing: it works, and gives what dipy's slower code gives."""

import numpy as np
import pytest
from dipy.denoise.gibbs import gibbs_removal

from harmonization.data.ringing import remove_ringing


def rms(difference):
    return np.sqrt(np.mean(np.square(difference)))


def test_ringing_beside_an_edge_shrinks():
    edge = np.zeros((256, 256))
    edge[64:192, 64:192] = 1.0
    spectrum = np.fft.fftshift(np.fft.fft2(edge))[96:160, 96:160]
    ringing = np.abs(np.fft.ifft2(np.fft.ifftshift(spectrum))) / 16
    whole = edge.reshape(64, 4, 64, 4).mean(axis=(1, 3))
    data = np.repeat(np.repeat(ringing[:, :, None, None], 3, axis=2), 2, axis=3)
    corrected = remove_ringing(data)
    assert corrected.shape == data.shape
    inside = np.s_[20:44, 20:44]
    assert rms(corrected[inside][..., 0, 0] - whole[inside]) < 0.5 * rms(ringing[inside] - 1)


@pytest.fixture
def ringing_head(rng):
    """Makes a series (x, y, 3, 2) of discs that ring, with noise, without, and with empty rows."""

    def make(shape, dtype):
        fine = np.indices([4 * n for n in shape]) - 2 * np.reshape(shape, (2, 1, 1))
        disc = 100.0 * (np.hypot(*fine) < 1.4 * min(shape))
        middle = tuple(slice(2 * n - n // 2, 2 * n - n // 2 + n) for n in shape)
        spectrum = np.fft.fftshift(np.fft.fft2(disc))[middle]
        ringing = np.fft.ifft2(np.fft.ifftshift(spectrum))[..., None, None] / 16
        data = np.abs(ringing + rng.normal(0, 2, (*shape, 3, 2)))
        # Without noise, many shifts are about equally good, and the last bit decides.
        data[..., 1, :] = np.abs(ringing[..., 0, :])
        data[: shape[0] // 3, :, 2] = 0
        return data.astype(dtype)

    return make


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(32, 32), (33, 33), (36, 25), (21, 40), (17, 53), (4, 7)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_it_gives_what_dipy_gives_bit_for_bit(ringing_head, shape, dtype, order):
    data = np.array(ringing_head(shape, dtype), order=order)
    before = data.copy()
    corrected = remove_ringing(data)
    assert corrected.dtype == dtype
    np.testing.assert_array_equal(corrected, gibbs_removal(data, inplace=False))
    np.testing.assert_array_equal(data, before)
    assert not np.allclose(corrected, data)
