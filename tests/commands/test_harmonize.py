"""A new scan is harmonised as the benchmark harmonises its own, and refused if it does not fit."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, validator_errors, write_model

from harmonization.data.bids import read_gradients, read_series, write_gradients
from harmonization.files import read_json, sha256, write_json
from harmonization.images.grids import layout
from harmonization.images.nifti import read_image, read_mask, write_image
from harmonization.learning.models import Specification
from harmonization.learning.network import Task
from harmonization.phantom.acquisition import gradient_scheme

AFFINE = np.diag([-2.4, 2.4, 2.4, 1.0])
AFFINE[:3, 3] = 40, -90, -30
SHAPE = (18, 17, 16)
BOX = slice(3, 17), slice(1, 14), slice(2, 14)  # of the brain, which is not central on any axis
B0, B0_STEP = 1000, 10  # signal in the first slice, and what each next has more
FOD = {
    "representation": "fod",
    "order": 2,
    "shell": 1200,
    "normalise_by_b0": True,
    "response": {"eigenvalues": [1.7e-3, 0.3e-3, 0.3e-3], "s0": 1.0},
    "regularisation": 0.006,
    "target_shells": {"new_st": 1200},
}
SIGNAL = {**FOD, "representation": "signal", "regularisation": 0.0}
CHANNELS = 6
NAME = "sub-01_ses-ge_acq-st_run-1"
PLAIN = {"denoised": False, "noise_free": False}  # what scans a model takes
TARGET = "new_st"


def ramp(affine, shape):
    """A function that is linear in the world, at every voxel; between 0.1 and 0.5 in the scan."""
    points = np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    return 0.3 + (points - [20, -70, -10]) @ [1e-3, 2e-3, 4e-3]


@pytest.fixture
def scan(tmp_path):
    """Options with a small scan, whose signal is its b=0 times a ramp, and harmonics of order 2."""
    folder = tmp_path / "study"
    bvals, directions = gradient_scheme({1200: 20}, 2)
    mask = np.zeros(SHAPE, np.uint8)
    mask[BOX] = 1
    # Fibres along x, where they change least: else their directions would be refused.
    weighted = ramp(AFFINE, SHAPE)[..., None] * (1 - 0.2 * directions[:, 0] ** 2)
    signal = np.where(bvals > 0, weighted, 1)
    b0 = B0 + B0_STEP * np.arange(SHAPE[2])
    data = (mask * b0)[..., None] * signal
    options = {
        "target": TARGET,
        "dwi": folder / f"{NAME}_desc-preproc_dwi.nii.gz",
        "bval": folder / f"{NAME}_desc-preproc_dwi.bval",
        "bvec": folder / f"{NAME}_desc-preproc_dwi.bvec",
        "mask": folder / f"{NAME}_desc-brain_mask.nii.gz",
        "out": tmp_path / "out",
    }
    write_image(options["dwi"], data.astype(np.float32), AFFINE)
    write_image(options["mask"], mask, AFFINE)
    write_gradients(options["bval"], options["bvec"], bvals, directions, AFFINE)
    return options


def add_noise(scan):
    data, affine = read_image(scan["dwi"])
    noise = np.random.default_rng(1).normal(0, 30, data.shape)
    write_image(scan["dwi"], np.abs(data + noise).astype(np.float32), affine)


@pytest.fixture
def model(tmp_path):
    """Write a model that was not fitted."""

    def write(plugin, r=1, wing="networks", harmonics=FOD, fitted=None, settings=None, **card):
        task = Task(CHANNELS, {TARGET: r}, TARGET, 0)
        specification = Specification(wing, plugin, settings or {}, task)
        card = {"input": layout(AFFINE) | PLAIN} | card
        return write_model(tmp_path / "model", specification, harmonics, fitted, **card)

    return write


def written(scan, name):
    """An image in the result, and its affine."""
    return read_image(scan["out"] / f"sub-01/ses-ge/dwi/{NAME}_{name}.nii.gz")


def by_rules(command, scan, folder, dwi=None):
    """What the commands of the benchmark's own rules predict, on the grid cut to the brain."""
    files = {name: folder / f"{name}.nii" for name in ("sh", "sh-mask", "prediction")}
    settings = read_json(folder / "card.json")["spherical_harmonics"]
    fitted = {role: scan[role] for role in ("bval", "bvec", "mask")}
    fitted |= {"dwi": dwi or scan["dwi"], "grid": scan["mask"], "settings": json.dumps(settings)}
    fitted |= {"sh": files["sh"], "sh-mask": files["sh-mask"], "sh-sidecar": folder / "sh.json"}
    assert command("fit_sh", fitted) == (0, "")
    predicted = {"model": folder, "source": files["sh"], "mask": files["sh-mask"]}
    predicted |= {"target": TARGET, "output": files["prediction"]}
    assert command("predict", predicted) == (0, "")
    return read_image(files["prediction"])


def blob():
    """A head with a bright spot."""
    x, y, z = np.indices((14, 13, 12))
    return 1 + np.exp(-((x - 5) ** 2 + (y - 7) ** 2 + (z - 6) ** 2) / 20)


KINDS = {
    "espcn": {"plugin": "espcn"},
    "espcn r=2": {"plugin": "espcn", "r": 2},
    "identity": {"plugin": "identity"},
    "closed form": {"plugin": "linear_patch", "r": 2},
    "smoothed": {"plugin": "smoothed", "wing": "classical", "settings": {"widths": [1.0]}},
    "in a template": {
        "plugin": "linear_rish",
        "wing": "classical",
        "settings": {"widths": [1.0], "floors": [0.0], "highest_orders": [2]},
        "fitted": {
            "template": blob().astype(np.float32),
            "scales": np.stack([blob(), 2 * blob()], axis=-1).astype(np.float32),
        },
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_result_is_what_the_rules_predict_bit_for_bit(command, scan, model, kind):
    add_noise(scan)
    folder = model(**KINDS[kind])
    status, error = command("harmonize", scan | {"model": folder})
    assert status == 0, error
    expected, cut_affine = by_rules(command, scan, folder)
    image, affine = written(scan, "model-csd_param-fod_desc-newst_dwimap")
    r = KINDS[kind].get("r", 1)
    assert image.shape == (*(n * r for n in SHAPE), CHANNELS)
    place = tuple(slice(side.start * r, side.stop * r) for side in BOX)
    np.testing.assert_array_equal(image[place], expected)
    assert expected.any()
    image[place] = 0
    assert not image.any()
    corner = affine @ [*(side.start for side in place), 1]
    np.testing.assert_allclose(corner, cut_affine[:, 3], atol=1e-4)
    np.testing.assert_allclose(affine[:, :3], cut_affine[:, :3], atol=1e-6)
    brain, brain_affine = written(scan, "desc-brain_mask")
    np.testing.assert_array_equal(brain_affine, affine)
    assert brain[place].all()
    assert brain.sum() == brain[place].size


@pytest.mark.parametrize("r", [1, 2])
def test_a_ramp_stays_where_it_is_in_the_world(command, scan, model, r):
    folder = model("identity", r=r, harmonics=SIGNAL)
    assert command("harmonize", scan | {"model": folder}) == (0, "")
    image, affine = written(scan, "model-sh_param-signal_desc-newst_dwimap")
    inner = tuple(slice((side.start + 1) * r, (side.stop - 1) * r) for side in BOX)
    # The mean of 1 - 0.2 x^2 over the sphere is 1 - 0.2 / 3.
    expected = np.sqrt(4 * np.pi) * (1 - 0.2 / 3) * ramp(affine, image.shape[:3])
    np.testing.assert_allclose(image[(*inner, 0)], expected[inner], rtol=1e-4)
    series, series_affine = written(scan, "desc-newst_dwi")
    np.testing.assert_array_equal(series_affine, affine)
    slices = (np.arange(SHAPE[2] * r) + 0.5) / r - 0.5  # centres, in voxels of the scan
    b0 = np.broadcast_to(B0 + B0_STEP * slices, image.shape[:3])
    np.testing.assert_allclose(series[(*inner, 0)], b0[inner], rtol=1e-5)


@pytest.mark.parametrize("convention", ["fsl", "image"])
@pytest.mark.parametrize("divided", [True, False])
def test_identity_gives_the_signal_of_the_scan_again(command, scan, model, divided, convention):
    """Order 2 holds the scan's signal, so the fit and its inverse cancel."""
    data, affine, bvals, directions = read_series(scan["dwi"], scan["bval"], scan["bvec"])
    affine[0] *= -1  # or both conventions are the same
    write_image(scan["dwi"], data, affine)
    write_image(scan["mask"], read_mask(scan["mask"])[0], affine)
    tables = scan["bval"], scan["bvec"]
    write_gradients(*tables, bvals, directions, affine, convention)
    like = layout(affine) | PLAIN
    folder = model("identity", harmonics={**SIGNAL, "normalise_by_b0": divided}, input=like)
    options = scan | {"model": folder, "convention": convention}
    assert command("harmonize", options) == (0, "")
    series, _ = written(scan, "desc-newst_dwi")
    stem = scan["out"] / f"sub-01/ses-ge/dwi/{NAME}_desc-newst_dwi"
    given = read_gradients(*tables, affine, convention)
    found = read_gradients(f"{stem}.bval", f"{stem}.bvec", affine, convention)
    for ours, theirs in zip(found, given, strict=True):
        np.testing.assert_allclose(ours, theirs[1:], atol=1e-6)  # one b=0 is the mean of two
    np.testing.assert_allclose(series, data[..., 1:], rtol=1e-4, atol=1e-3)


def test_what_is_predicted_of_another_shell_has_its_b_value(command, scan, model):
    folder = model("identity", harmonics={**SIGNAL, "target_shells": {TARGET: 3000}})
    assert command("harmonize", scan | {"model": folder}) == (0, "")
    stem = scan["out"] / f"sub-01/ses-ge/dwi/{NAME}"
    assert set(np.loadtxt(f"{stem}_desc-newst_dwi.bval")) == {0, 3000}
    said = read_json(f"{stem}_model-sh_param-signal_desc-newst_dwimap.json")
    assert said["Model"]["Parameters"]["shell"] == 3000


def test_a_table_in_world_axes_beside_the_scan_tells_the_convention(command, scan, model):
    """As QSIPrep writes it; what is predicted is written as the scan's table was."""
    folder = model("identity", harmonics=SIGNAL)
    _, affine = read_image(scan["dwi"])
    bvals, directions = read_gradients(scan["bval"], scan["bvec"], affine)
    write_gradients(scan["bval"], scan["bvec"], bvals, directions, affine, "image")
    table = np.column_stack([directions, bvals])
    np.savetxt(scan["dwi"].with_name(f"{NAME}_desc-preproc_dwi.b"), table)
    assert command("harmonize", scan | {"model": folder}) == (0, "")
    stem = scan["out"] / f"sub-01/ses-ge/dwi/{NAME}_desc-newst_dwi"
    _, found = read_gradients(f"{stem}.bval", f"{stem}.bvec", affine, "image")
    weighted = np.abs(directions).sum(axis=1) > 0
    np.testing.assert_allclose(found[1:], directions[weighted], atol=1e-4)


def test_a_negative_prediction_is_no_negative_magnitude(command, scan, model):
    units = {"mean": [-9.0] * CHANNELS, "std": [1.0] * CHANNELS}
    given = {"mean": [0.0] * CHANNELS, "std": [1.0] * CHANNELS}
    normalisation = {"input": given, "outputs": {TARGET: units}}
    folder = model("espcn", harmonics=SIGNAL, normalisation=normalisation)
    assert command("harmonize", scan | {"model": folder}) == (0, "")
    assert written(scan, "model-sh_param-signal_desc-newst_dwimap")[0].min() < 0
    assert written(scan, "desc-newst_dwi")[0].min() == 0


def test_a_scan_is_denoised_if_those_were_from_which_the_model_learned(command, scan, model):
    add_noise(scan)
    denoised = scan["dwi"].with_name("denoised.nii.gz")
    options = {"dwi": scan["dwi"], "bval": scan["bval"], "output": denoised}
    assert command("denoise", options) == (0, "")
    folder = model("espcn", input=layout(AFFINE) | PLAIN | {"denoised": True})
    assert command("harmonize", scan | {"model": folder}) == (0, "")
    assert "Denoise by Marchenko-Pastur PCA" in command.said
    image, _ = written(scan, "model-csd_param-fod_desc-newst_dwimap")
    np.testing.assert_array_equal(image[BOX], by_rules(command, scan, folder, denoised)[0])
    assert (image[BOX] != by_rules(command, scan, folder)[0]).any()


def test_the_result_is_a_bids_derivative_that_says_where_it_comes_from(command, scan, model):
    folder = model("identity", harmonics=SIGNAL)
    assert command("harmonize", scan | {"model": folder}) == (0, "")
    assert not validator_errors(scan["out"])
    assert not list(scan["out"].parent.glob(".partial*"))
    stem = scan["out"] / f"sub-01/ses-ge/dwi/{NAME}_model-sh"
    sidecar = read_json(f"{stem}_param-signal_desc-newst_dwimap.json")
    conventions = {key: value for key, value in SIGNAL.items() if key != "target_shells"}
    assert sidecar["Model"]["Parameters"] == conventions
    assert sidecar["OrientationEncoding"]["SphericalHarmonicDegree"] == 2
    provenance = sidecar["Harmonization"]
    assert (provenance["Method"], provenance["Source"]) == ("identity", "s")
    assert provenance["Target"] == TARGET
    assert provenance["CardSHA256"] == sha256(folder / "card.json")
    assert provenance["InputSHA256"] == sha256(scan["dwi"])
    image, _ = written(scan, "model-sh_param-signal_desc-newst_dwimap")
    energies, _ = written(scan, "model-sh_param-rish_desc-newst_dwimap")
    np.testing.assert_allclose(energies[..., 0], image[..., 0] ** 2, rtol=1e-6)
    second = (image[..., 1:].astype(float) ** 2).sum(axis=-1)
    np.testing.assert_allclose(energies[..., 1], second, rtol=1e-5, atol=1e-9)


def test_a_scan_without_a_bids_name_is_of_an_unknown_subject(command, scan, model):
    scan["dwi"] = scan["dwi"].rename(scan["dwi"].with_name("my_scan.nii.gz"))
    assert command("harmonize", scan | {"model": model("identity")}) == (0, "")
    assert (scan["out"] / "sub-unknown/dwi/sub-unknown_desc-brain_mask.nii.gz").exists()


def other_size(scan):
    data, affine = read_image(scan["dwi"])
    affine = affine @ np.diag([1, 1, 1.02, 1])
    write_image(scan["dwi"], data, affine)
    write_image(scan["mask"], read_mask(scan["mask"])[0], affine)


def mirrored(scan):
    change_card(scan, input=layout(np.diag([2.4, 2.4, 2.4, 1.0])) | PLAIN)


def other_shell(scan):
    change_card(scan, spherical_harmonics={**FOD, "shell": 3000})


def high_order(scan):
    change_card(scan, spherical_harmonics={**FOD, "order": 6})


def other_order(scan):
    change_card(scan, spherical_harmonics={**FOD, "order": 4})


def change_card(scan, **changes):
    path = scan["model"] / "card.json"
    write_json(path, read_json(path) | changes)


def other_target(scan):
    scan["target"] = "connectom"


def no_card(scan):
    (scan["model"] / "card.json").unlink()


def a_file(scan):
    scan["model"] /= "card.json"


def old_card(scan):
    card = read_json(scan["model"] / "card.json")
    del card["input"]
    write_json(scan["model"] / "card.json", card)


def other_settings(scan):
    specification = read_json(scan["model"] / "card.json")["specification"]
    change_card(scan, specification={**specification, "settings": {"gone": 1}})


def a_baseline(scan):
    scan["model"] = ROOT / "workflow/baselines/gain"


def empty_mask(scan):
    write_image(scan["mask"], np.zeros(SHAPE, np.uint8), AFFINE)


def small_mask(scan):
    write_image(scan["mask"], np.ones((3, 3, 3), np.uint8), AFFINE)


def not_finite(scan):
    data, affine = read_image(scan["dwi"])
    data[8, 8, 8, 3] = np.nan
    write_image(scan["dwi"], data, affine)


def fewer_volumes(scan):
    data, affine = read_image(scan["dwi"])
    write_image(scan["dwi"], data[..., :-1], affine)


def long_directions(scan):
    np.savetxt(scan["bvec"], 1.5 * np.loadtxt(scan["bvec"]))


def missing(scan):
    scan["bval"].unlink()


def no_folder(scan):
    scan["model"] = scan["model"] / "nowhere"


def used_folder(scan):
    scan["out"].mkdir()
    (scan["out"] / "mine.txt").touch()


@pytest.mark.parametrize(
    ("spoil", "named", "finding"),
    [
        (
            other_size,
            "dwi.nii.gz",
            "its voxels are 2.4 x 2.4 x 2.45 mm, not 2.4 x 2.4 x 2.4 as those of s",
        ),
        (mirrored, "dwi.nii.gz", "its voxels run to LAS, not to RAS as those of s"),
        (other_shell, "dwi.bval", "no volume at b=3000; its shells are [1200]: this takes a model"),
        (high_order, "dwi.bvec", "20 distinct directions at b=1200, order 6 needs 28; this takes"),
        (other_order, "card.json", "takes 6 coefficients, but order 4 has 15"),
        (other_target, "model", "predicts new_st, not connectom"),
        (no_card, "model", "holds no card.json"),
        (no_folder, "nowhere", "no such folder; give that of a model"),
        (a_file, "card.json", "is a file; give the folder of a model"),
        (old_card, "card.json", "is no card of this version"),
        (other_settings, "card.json", "is no card of this version"),
        (a_baseline, "gain", "a baseline with rules of its own has its own program"),
        (empty_mask, "mask.nii.gz", "the brain mask is empty"),
        (small_mask, "mask.nii.gz", "shape (3, 3, 3) differs"),
        (not_finite, "dwi.nii.gz", "holds NaN or infinite values"),
        (fewer_volumes, "dwi.bval", "22 b-values for the 21 volumes"),
        (long_directions, "dwi.bvec", "has length 1.5, not 1"),
        (missing, "dwi.bval", "No such file"),
        (used_folder, "out", "is there already and not empty"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_does_not_fit_is_refused_in_one_line(command, scan, model, spoil, named, finding):
    scan["model"] = model("espcn")
    spoil(scan)
    before = sorted(scan["out"].parent.rglob("*"))
    status, error = command("harmonize", scan)
    assert (status, len(error.splitlines())) == (1, 1), error
    assert error.startswith("error: ")
    assert named in error
    assert finding in error
    assert sorted(scan["out"].parent.rglob("*")) == before


def test_a_model_of_scans_without_noise_is_refused(command, scan, model):
    folder = model("identity")
    card = read_json(folder / "card.json")
    write_json(folder / "card.json", card | {"input": card["input"] | {"noise_free": True}})
    status, error = command("harmonize", scan | {"model": folder})
    assert (status, len(error.splitlines())) == (1, 1)
    assert "reads scans without noise, which only a phantom has; take another" in error


def test_a_link_to_an_empty_folder_takes_the_result(command, scan, model, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    scan["out"].symlink_to(tmp_path / "elsewhere")
    scan["model"] = model("espcn")
    assert command("harmonize", scan) == (0, "")
    assert scan["out"].is_symlink()
    assert list((tmp_path / "elsewhere").rglob("*dwimap.nii.gz"))


def test_a_mounted_file_system_is_no_place_for_a_result(command, scan, model):
    scan |= {"model": model("espcn"), "out": Path("/proc")}
    assert command("harmonize", scan) == (
        1,
        "error: /proc: a file system is mounted there; give a new folder in it\n",
    )


def test_nothing_is_left_if_it_fails_while_writing(command, scan, model, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("harmonization.data.harmonized.rish", full)
    status, error = command("harmonize", scan | {"model": model("identity")})
    assert (status, error) == (1, "error: [Errno 28] No space left on device\n")
    assert not scan["out"].exists()
    assert not list(scan["out"].parent.glob(".partial*"))
