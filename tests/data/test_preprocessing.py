"""Preprocessing of raw scans: each step brings a scan closer to its known truth."""

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from harmonization.data import preprocessing
from harmonization.data.bids import read_gradients, write_gradients
from harmonization.data.preprocessing import brain_mask, correct_motion, denoise
from harmonization.files import InputError, read_json, write_json
from harmonization.images.gradients import volumes_by_shell
from harmonization.images.grids import points_of_mask, split_grid, transform_points
from harmonization.images.kspace import crop_kspace, crop_mask
from harmonization.images.nifti import read_image, write_image
from harmonization.images.sampling import sample
from harmonization.phantom.acquisition import acquire
from harmonization.phantom.people import Person
from harmonization.plan.configuration import merge
from harmonization.plan.phantom import read_parameters
from harmonization.plan.scans import FoundScan, find_raw_scan, raw_scan
from harmonization.plan.sources import platforms_as_bids

PARAMETERS = read_parameters(ROOT / "config/travelling_heads.yaml")


@pytest.fixture(scope="module")
def truth(atlas):
    """A noise-free scan with three b=0 volumes and thirty directions."""
    person = Person(atlas, PARAMETERS, 2019, "03")
    return acquire(person, "prisma_st", "scan", [1200], (20.0, 16.8))


@pytest.fixture
def noisy(truth, rng):
    """The same scan with noise, outside the brain too."""
    level = truth.signal[..., 0].max() / 50
    noise = rng.normal(0, level, (2, *truth.signal.shape))
    return np.hypot(truth.signal + noise[0], noise[1]).astype(np.float32)


def rms(difference):
    return np.sqrt(np.mean(np.square(difference)))


def test_the_brain_is_found(truth, noisy):
    mask = brain_mask(noisy[..., truth.bvals < 50].mean(axis=-1))
    brain = truth.mask > 0
    assert 2 * (mask & brain).sum() / (mask.sum() + brain.sum()) > 0.95


@pytest.mark.parametrize("value", [0.0, 5.0])
def test_no_brain_is_told(value):
    with pytest.raises(InputError, match="nothing stands out as brain"):
        brain_mask(np.full((20, 20, 20), value))


def test_denoising_takes_most_of_the_noise_and_leaves_the_rest(truth, noisy):
    denoised = denoise(noisy, truth.bvals)
    brain = truth.mask > 0
    weighted = truth.bvals > 50
    before = rms((noisy - truth.signal)[brain][:, weighted])
    after = rms((denoised - truth.signal)[brain][:, weighted])
    assert after < 0.6 * before
    assert np.isfinite(denoised).all()
    # Nothing changes far from the brain.
    corner = np.s_[:3, :3]
    np.testing.assert_array_equal(denoised[corner], noisy[corner])


def test_a_scan_too_thin_to_denoise_is_told(truth, noisy):
    with pytest.raises(InputError, match=r"takes 5 voxels in every direction.*switch"):
        denoise(noisy[:, :, :4], truth.bvals)


@pytest.fixture(scope="module")
def still(atlas):
    """A noise-free scan of a whole head: ten volumes of coarse voxels."""
    few_directions = {"platforms": {"prisma_st": {"shells": {1200: 8}}}}
    person = Person(atlas, merge(PARAMETERS, few_directions), 2019, "03")
    scan = acquire(person, "prisma_st", "scan", [1200], None)
    kept = np.r_[np.flatnonzero(scan.bvals < 50)[:2], np.flatnonzero(scan.bvals > 50)]
    scan.signal, scan.affine = crop_kspace(scan.signal[..., kept], scan.affine, 2)
    scan.mask = crop_mask(scan.mask, 2)
    scan.bvals, scan.directions = scan.bvals[kept], scan.directions[kept]
    return scan


@pytest.fixture(scope="module")
def moved(still):
    """The same scan with noise and some volumes moved, and the pose of each volume."""
    data, rng = still.signal.copy(), np.random.default_rng(11)
    level = data[..., 0].max() / 200
    poses = np.tile(np.eye(4), (len(still.bvals), 1, 1))
    points = points_of_mask(np.ones(data.shape[:3], dtype=bool), still.affine)
    # The head has moved in the fourth and fifth volumes, and in the last.
    for volume in (3, 4, 9):
        turn = Rotation.from_euler("xyz", rng.normal(0, 2, 3), degrees=True)
        poses[volume, :3, :3] = turn.as_matrix()
        poses[volume, :3, 3] = rng.normal(0, 1, 3)
        there = transform_points(np.linalg.inv(poses[volume]), points)
        values = sample(data[..., volume], still.affine, there, 3)
        data[..., volume] = values.reshape(data.shape[:3])
    # Noise, outside the head too.
    noise = rng.normal(0, level, (2, *data.shape))
    return np.hypot(data + noise[0], noise[1]).astype(np.float32), poses


@pytest.mark.slow
def test_motion_is_found_and_undone_and_directions_turn_along(still, moved):
    data, poses = moved
    in_scanner = np.einsum("vij,vj->vi", poses[:, :3, :3], still.directions)
    corrected, rotated, transforms = correct_motion(data, still.affine, still.bvals, in_scanner)
    brain = points_of_mask(still.mask, still.affine)
    for found, true in zip(transforms, poses, strict=True):
        off = transform_points(found, brain) - transform_points(true, brain)
        assert np.linalg.norm(off, axis=1).mean() < 1.2  # mm, a quarter of a voxel
    angles = np.degrees(np.arccos(np.clip((rotated * still.directions).sum(axis=1), -1, 1)))
    assert angles[still.bvals > 50].max() < 1.2  # the head turned by up to 3.7 degrees
    inside = still.mask > 0
    for volume in (3, 4, 9):
        before = rms((data - still.signal)[inside][:, volume])
        assert rms((corrected - still.signal)[inside][:, volume]) < 0.75 * before
    assert corrected.min() >= 0


def test_a_volume_that_fits_nowhere_is_named(truth, monkeypatch):
    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_euler("z", 40, degrees=True).as_matrix()
    monkeypatch.setattr(preprocessing, "register_within", lambda *_: turned)
    data = truth.signal[..., :1].repeat(3, axis=-1)
    with pytest.raises(InputError, match=r"volume 1 fits only when moved by .* mm and 80 degrees"):
        correct_motion(data, truth.affine, np.array([0.0, 1000, 1000]), np.eye(3))


# --- Lower resolution


def test_a_slice_alone_cannot_be_cropped():
    with pytest.raises(InputError, match=r"crop: 2 leaves none of \(4, 4, 1\) voxels"):
        crop_kspace(np.ones((4, 4, 1, 2)), np.eye(4), 2)


@given(
    shape=st.tuples(*[st.integers(4, 9)] * 3),
    waves=st.tuples(*[st.integers(0, 1)] * 3),
    turn=st.tuples(*[st.floats(-180, 180)] * 3),
)
@settings(max_examples=25, deadline=None)
def test_what_low_resolution_can_show_stays_where_it_is(shape, waves, turn):
    """A wave that the larger voxels still resolve keeps its values at the same places."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix() * 1.5
    affine[:3, 3] = [4, -5, 6]
    whole = tuple(n // 2 * 2 for n in shape)
    # Two voxels cannot resolve a wave of unknown phase.
    waves = [w if n >= 6 else 0 for w, n in zip(waves, whole, strict=True)]

    def wave(index):
        phases = sum(w * index[..., i] / whole[i] for i, w in enumerate(waves))
        return 2 + np.cos(2 * np.pi * phases + 0.7)

    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    cropped, cropped_affine = crop_kspace(wave(index)[..., None], affine, 2)
    assert cropped.shape == (*(n // 2 for n in shape), 1)
    points = points_of_mask(np.ones(cropped.shape[:3]), cropped_affine)
    there = transform_points(np.linalg.inv(affine), points)
    np.testing.assert_allclose(cropped.ravel(), wave(there), atol=1e-5)
    # Splitting the new grid for super-resolution gives the old one.
    _, back = split_grid(cropped.shape[:3], cropped_affine, 2)
    np.testing.assert_allclose(back, affine, atol=1e-9)


def test_noise_falls_as_larger_voxels_let_it(rng):
    noise = 10 + rng.standard_normal((24, 24, 24, 2))
    cropped, _ = crop_kspace(noise, np.eye(4), 2)
    assert cropped.mean() == pytest.approx(10, abs=0.05)
    assert cropped.std() == pytest.approx(8**-0.5, rel=0.1)


def test_a_cropped_mask_holds_voxels_that_are_inside_by_half():
    mask = np.zeros((5, 4, 4), np.uint8)
    mask[:2, :2, :2] = 1
    mask[2, 0, 0] = 1
    mask[2:4, 2:4, 2] = 1
    assert crop_mask(mask, 2).tolist() == [[[1, 0], [0, 0]], [[0, 0], [0, 1]]]


# --- Commands: one line says what is wrong


@pytest.fixture
def raw(tmp_path, still, moved):
    """Files of a small raw scan of a moving head."""
    files = {name: tmp_path / f"raw.{name}" for name in ("bval", "bvec")}
    files["dwi"] = tmp_path / "raw.nii.gz"
    write_image(files["dwi"], moved[0], still.affine)
    write_gradients(files["bval"], files["bvec"], still.bvals, still.directions, still.affine)
    return files


@pytest.mark.slow
def test_the_motion_of_a_scan_is_a_table(command, raw, tmp_path, monkeypatch, still, moved):
    data, poses = moved
    turned = np.einsum("vij,vj->vi", poses[:, :3, :3], still.directions)
    monkeypatch.setattr(preprocessing, "correct_motion", lambda *_: (data, turned, poses))
    written = {name: tmp_path / name for name in ("rotated-bval", "rotated-bvec", "motion")}
    written["output"] = tmp_path / "still.nii"
    assert command("correct_motion", raw | written) == (0, "")
    rows = [row.split("\t") for row in written["motion"].read_text().splitlines()]
    assert rows[0] == ["volume", "b", "shift_mm", "rotation_degrees"]
    for (number, b, shift, rotation), pose in zip(rows[1:], poses, strict=True):
        assert float(b) == still.bvals[int(number)]
        assert (float(shift) > 0.3) == (float(rotation) > 0.3) == (not np.allclose(pose, np.eye(4)))
    bvals, directions = read_gradients(
        written["rotated-bval"], written["rotated-bvec"], still.affine
    )
    np.testing.assert_array_equal(bvals, still.bvals)
    np.testing.assert_allclose(directions, turned, atol=1e-6)


@pytest.mark.parametrize("name", ["denoise", "correct_motion", "make_mask"])
def test_a_scan_without_b0_is_named(command, raw, tmp_path, name):
    raw["bval"].write_text(" ".join(["1200"] * 10))
    np.savetxt(raw["bvec"], np.tile([1, 0, 0], (10, 1)))
    outputs = {"output": tmp_path / "x.nii"}
    if name == "correct_motion":
        outputs |= {n: tmp_path / n for n in ("rotated-bval", "rotated-bvec", "motion")}
    else:
        raw.pop("bvec")
    status, error = command(name, raw | outputs)
    assert (status, len(error.splitlines())) == (1, 1)
    assert "no volume with b below 50" in error
    assert not (tmp_path / "x.nii").exists()


@pytest.mark.parametrize("name", ["denoise", "correct_motion"])
def test_a_table_of_another_scan_is_named(command, raw, tmp_path, name):
    raw["bval"].write_text("0 " + " ".join(["1200"] * 14) + " 0")
    np.savetxt(raw["bvec"], np.tile([1, 0, 0], (16, 1)))
    outputs = {"output": tmp_path / "x.nii"}
    if name == "correct_motion":
        outputs |= {n: tmp_path / n for n in ("rotated-bval", "rotated-bvec", "motion")}
    else:
        raw.pop("bvec")
    status, error = command(name, raw | outputs)
    assert (status, len(error.splitlines())) == (1, 1)
    assert "raw.bval: 16 b-values for 10 volumes" in error
    assert not (tmp_path / "x.nii").exists()


def test_partial_k_space_is_warned_of(command, raw, tmp_path):
    write_json(tmp_path / "raw.json", {"PartialFourier": 0.75})
    write_image(tmp_path / "small.nii", read_image(raw["dwi"])[0][:, :, :3, :2], np.eye(4))
    options = {
        "dwi": tmp_path / "small.nii",
        "sidecar": tmp_path / "raw.json",
        "output": tmp_path / "x.nii",
    }
    status, error = command("remove_ringing", options)
    assert status == 0
    assert "raw.json: only 0.75 of k-space was sampled" in error


def test_a_mask_of_ones_own_is_taken(command, raw, tmp_path):
    own = np.zeros((4, 5, 6), np.uint8)
    own[1:3] = 255
    write_image(tmp_path / "own.nii", own, np.eye(4))
    options = {"dwi": raw["dwi"], "bval": raw["bval"], "output": tmp_path / "mask.nii.gz"}
    assert command("make_mask", options | {"given": tmp_path / "own.nii"}) == (0, "")
    np.testing.assert_array_equal(read_image(tmp_path / "mask.nii.gz")[0], own > 0)


def test_a_written_scan_keeps_what_its_sidecar_must_say(command, raw, tmp_path):
    write_json(tmp_path / "raw.json", {"EchoTime": 0.096, "PatientName": "nobody's business"})
    options = {f"from-{name}": path for name, path in raw.items()}
    options |= {"from-sidecar": tmp_path / "raw.json", "steps": ["denoising", "motion"]}
    names = ("dwi.nii.gz", "bval", "bvec", "sidecar")
    written = {name.split(".")[0]: tmp_path / "out" / name for name in names}
    assert command("write_scan", options | written) == (0, "")
    assert read_json(written["sidecar"]) == {
        "EchoTime": 0.096,
        "SkullStripped": False,
        "Preprocessing": ["denoising", "motion"],
    }
    for new, old in ((written["bval"], raw["bval"]), (written["bvec"], raw["bvec"])):
        np.testing.assert_allclose(np.loadtxt(new), np.loadtxt(old), atol=1e-7)


# --- Names


@given(bvals=st.lists(st.sampled_from([0.0, 5, 990, 1000, 1010, 1995, 2000, 3000]), min_size=1))
def test_every_volume_is_in_one_shell(bvals):
    bvals = np.array(bvals)
    if bvals.min() >= 50:
        with pytest.raises(InputError, match="no volume with b below 50"):
            volumes_by_shell(bvals)
        return
    shells = volumes_by_shell(bvals)
    assert sorted(np.concatenate(shells)) == list(range(len(bvals)))
    assert set(shells[0]) == set(np.flatnonzero(bvals < 50))
    for shell in shells:
        assert np.ptp(bvals[shell]) <= 20


def test_names_of_raw_scans_are_known_before_they_are_there(tmp_path):
    platform = {"session": "OXF3TRI001", "direction": "AP", "scale": 1}
    names = raw_scan("03286", platform)
    stem = "sub-03286/ses-OXF3TRI001/dwi/sub-03286_ses-OXF3TRI001_dir-AP_dwi"
    ends = ("nii.gz", "bval", "bvec", "json")
    assert list(names.values()) == [f"{stem}.{end}" for end in ends]
    for path in [*names.values(), stem.replace("AP", "PA") + ".nii.gz"]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    found = find_raw_scan(tmp_path, "03286", "trio", platform)
    files = {role: str(tmp_path / path) for role, path in names.items()}
    assert found == FoundScan(**files, mask=None)


def test_platforms_as_bids_have_names_that_bids_allows():
    prisma = {"session": "A", "direction": "AP", "run": "1", "scale": 1}
    written = platforms_as_bids({"prisma_32ch": prisma})
    assert written == {"prisma_32ch": {"session": "A", "acquisition": "prisma32ch", "scale": 1}}
    with pytest.raises(InputError, match=r"platforms.prisma_3_2ch: differs from 'prisma_32ch'"):
        platforms_as_bids({"prisma_32ch": prisma, "prisma_3_2ch": prisma})
