"""Scores of what biology is read from: cases by hand."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from harmonization.files import write_json
from harmonization.images.coefficients import coefficient_orders, generalised_anisotropy, rish
from harmonization.images.nifti import write_image
from harmonization.images.spherical_harmonics import harmonics
from harmonization.learning.lattice import Lattice
from harmonization.report.metrics import read_metrics
from harmonization.report.scores import Scoring

FOD = {"representation": "fod", "normalise_by_b0": True, "shell": 1200}
SIGNAL = FOD | {"representation": "signal"}
SHAPE = (14, 14, 14)


def fibres(*directions):
    """Coefficients (n, 28) of a lobe along each of `directions`."""
    orders = coefficient_orders(6)
    axes = np.array(directions, dtype=float)
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return harmonics(axes, 6) * np.exp(-0.02 * orders * (orders + 1))


def scored(prediction, target, conventions=FOD, mask=None, scale=1, **others):
    """Values by region and metric."""
    mask = np.ones(target.shape[:3], bool) if mask is None else mask
    lattice = Lattice()
    counted = lattice.counted([mask], [scale])
    statistics = {"mean": [0.0] * 28, "std": [1.0] * 28}
    scoring = Scoring(mask, lattice, scale, statistics, counted, conventions)
    scores = scoring.scores(prediction, target, **others)
    found = {(score.region, score.metric): score.value for score in scores}
    assert len(found) == len(scores)
    return found


@pytest.fixture
def target(rng):
    return rng.standard_normal((*SHAPE, 28)).astype(np.float32)


def test_scaled_coefficients_have_that_error_of_their_energy(target):
    found = scored(0.9 * target, target, truth=0.5 * target)
    for order in (0, 2, 4, 6):
        assert found["brain", f"rish_error_l{order}"] == pytest.approx(0.1, rel=1e-5)
        assert found["brain", f"truth_rish_error_l{order}"] == pytest.approx(0.8, rel=1e-5)
    assert found["brain", "gfa_mae"] == pytest.approx(0, abs=1e-6)
    assert found["brain", "angular_error"] == pytest.approx(0, abs=1e-3)


def test_a_standardised_error_counts_in_the_deviation_of_each_coefficient(target):
    """Of three deviations everywhere but in one coefficient, where it is of four."""
    mask, lattice = np.ones(SHAPE, bool), Lattice()
    std = np.arange(1.0, 29.0)
    statistics = {"mean": [5.0] * 28, "std": std.tolist()}
    scoring = Scoring(mask, lattice, 1, statistics, lattice.counted([mask], [1]))
    off = np.where(np.arange(28) == 20, 4, 3) * std
    found = {(s.region, s.metric): s.value for s in scoring.scores(target + off, target)}
    wanted = (27 * 9 + 16) / 28
    assert found["brain", "patch_mse_standardised"] == pytest.approx(wanted, rel=1e-4)
    assert found["brain", "patch_mse"] == pytest.approx(np.mean(off**2), rel=1e-4)


def test_one_order_that_vanishes_is_all_of_its_error(target):
    prediction = target * (coefficient_orders(6) != 4)
    found = scored(prediction, target)
    errors = [found["brain", f"rish_error_l{order}"] for order in (0, 2, 4, 6)]
    assert errors == pytest.approx([0, 0, 1, 0])


def test_a_sphere_in_place_of_everything_loses_all_anisotropy(target):
    prediction = target * (coefficient_orders(6) == 0)
    found = scored(prediction, target)
    assert found["brain", "mean_gfa"] == 0
    expected = generalised_anisotropy(rish(target.astype(float), 6)).mean()
    assert found["brain", "gfa_mae"] == pytest.approx(expected)
    assert found["brain", "mean_gfa_target"] == pytest.approx(expected)
    assert found["brain", "mean_rish0"] == pytest.approx(np.mean(target[..., 0] ** 2.0))


def test_peaks_count_where_the_target_has_a_clear_one():
    target, prediction = np.zeros((2, *SHAPE, 28))
    x, turned, y = fibres([1, 0, 0], [np.cos(0.3), np.sin(0.3), 0], [0, 1, 0])
    target[:7], prediction[:7] = x, turned
    # A faint lobe is noise, and a sphere has none: neither counts, whatever is predicted.
    target[7:10], target[10:, ..., 0], prediction[7:] = 0.01 * x, x[0], y
    found = scored(prediction, target, truth=prediction)
    assert found["brain", "angular_error"] == pytest.approx(np.degrees(0.3), abs=0.3)
    assert found["brain", "truth_angular_error"] == 0
    assert ("brain", "angular_error") not in scored(prediction, target, SIGNAL)
    target[:7] = target[10]
    assert ("brain", "angular_error") not in scored(prediction, target)


@pytest.mark.parametrize("scale", [1, 2])
def test_the_boundary_is_a_source_voxel_deep(rng, scale):
    shape = tuple(21 * scale for _ in range(3))
    coarse = np.zeros((21, 21, 21), bool)
    coarse[2:19, 2:19, :] = True  # 17 x 17 x 21: cut off by the image's ends
    mask = np.kron(coarse, np.ones((scale,) * 3, bool))
    target = rng.standard_normal((*shape, 28)).astype(np.float32)
    found = scored(target, target, mask=mask, scale=scale)
    assert found["brain", "voxels"] == 17 * 17 * 21 * scale**3
    assert found["interior", "voxels"] == 15 * 15 * 19 * scale**3
    inside = found["boundary", "voxels"] + found["interior", "voxels"]
    assert inside == found["brain", "voxels"]


def test_where_a_prediction_ends_is_no_boundary():
    """A repeated scan that reaches half of the brain has half of its boundary, and no more."""
    brain, reached = (np.ones(SHAPE, bool) for _ in range(2))
    reached[:, :, 7:] = False
    lattice, statistics = Lattice(), {"mean": [0.0] * 28, "std": [1.0] * 28}
    counted = lattice.counted([brain], [1])
    scoring = Scoring(reached, lattice, 1, statistics, counted, brain=brain)
    sizes = {name: where.sum() for name, where in scoring.regions().items()}
    assert sizes == {"brain": 14**2 * 7, "boundary": 14**2 * 7 - 12**2 * 6, "interior": 12**2 * 6}


def test_errors_at_the_boundary_stay_there(target):
    prediction = target.copy()
    prediction[0] += 1
    found = scored(prediction, target)
    assert found["interior", "mse"] == 0
    assert found["boundary", "mse"] == pytest.approx(14**2 / (14**3 - 12**3), rel=1e-5)


def test_only_patches_that_count_are_in_the_brain():
    mask = np.zeros((14, 14, 21), bool)
    mask[..., :14] = True
    mask[:2, :2, 14:] = True  # less than half of a patch
    target = np.ones((*mask.shape, 28))
    found = scored(target, target, mask=mask)
    assert found["brain", "voxels"] == 14**3


def test_a_lesions_contrast_is_to_the_white_matter_around_it():
    tissue = np.zeros(SHAPE, np.uint8)
    tissue[:10] = 1
    tissue[3:5, 3:5, 3:5] = 4
    near = binary_dilation(tissue == 4, np.ones((3, 3, 3)), iterations=2) & (tissue == 1)
    target = np.ones((*SHAPE, 28))
    target[near, 0], target[tissue == 4, 0] = 0.5, 0.2
    prediction = target.copy()
    prediction[tissue == 4, 0] = 0.4
    found = scored(prediction, target, tissue=tissue)
    assert found["lesion", "lesion_contrast_target"] == pytest.approx(-0.3)
    assert found["lesion", "lesion_contrast"] == pytest.approx(-0.1)
    tissue[tissue == 1] = 2
    assert ("lesion", "lesion_contrast") not in scored(prediction, target, tissue=tissue)


def test_only_the_signal_has_tensors(target):
    signal = np.zeros_like(target)
    # A sphere's coefficient is sqrt(4 pi) times its value, here exp(-b D).
    signal[..., 0] = np.sqrt(4 * np.pi) * np.exp(-1200 * 1e-3)
    prediction = signal.copy()
    prediction[..., 0] = np.sqrt(4 * np.pi) * np.exp(-1200 * 0.8e-3)
    signal[..., 1:] = prediction[..., 1:] = (
        1e-9  # an order without any energy has no relative error
    )
    found = scored(prediction, signal, SIGNAL)
    assert found["brain", "md_mae"] == pytest.approx(0.2e-3, rel=1e-4)
    assert found["brain", "fa_mae"] == pytest.approx(0, abs=1e-5)
    assert found["brain", "mean_md_target"] == pytest.approx(1e-3, rel=1e-4)
    assert not {metric for _, metric in found if "angular" in metric}
    assert not {metric for _, metric in scored(prediction, signal) if "md" in metric}
    not_divided = SIGNAL | {"normalise_by_b0": False}
    assert not {metric for _, metric in scored(prediction, signal, not_divided) if "md" in metric}


def test_a_rotation_of_the_whole_head_changes_no_score(rng):
    """Energies and anisotropies do not depend on where the axes point."""
    axes = rng.standard_normal((2, SHAPE[0] ** 3, 3))
    turned = axes @ np.linalg.qr(rng.standard_normal((3, 3)))[0]
    images = [fibres(*a).reshape(*SHAPE, 28) for a in (*axes, *turned)]
    before, after = scored(*images[:2]), scored(*images[2:])
    for metric in ("rish_error_l2", "gfa_mae", "mean_gfa", "angular_error"):
        assert before["brain", metric] == pytest.approx(after["brain", metric], rel=1e-3, abs=1e-6)


def test_scores_of_a_run_on_the_signal_join_those_of_distributions(command, target, tmp_path):
    affine = np.diag([2.4, 2.4, 2.4, 1])
    for name, image in {"measured": target, "prediction": target + 0.1}.items():
        write_image(tmp_path / f"{name}.nii", image, affine)
    write_image(tmp_path / "mask.nii", np.ones(SHAPE, np.uint8), affine)
    statistics = {"mean": [0.0] * 28, "std": [1.0] * 28}
    lattice = {"core": 7, "minimum_inside": 0.5}
    fold = {"lattice": lattice, "scales": {"t": 1}, "normalisation": {"t": statistics}}
    write_json(tmp_path / "fold.json", fold)
    write_json(tmp_path / "scoring.json", {"test": ["x"], "patches": {"x": [[0, 0, 0]]}})
    tables = {}
    for name, conventions in {"fod": FOD, "signal": SIGNAL}.items():
        write_json(tmp_path / f"{name}.json", conventions)
        options = dict.fromkeys(("method", "family", "fold", "seed", "subject"), "x")
        options |= {end: tmp_path / f"{end}.nii" for end in ("prediction", "measured", "mask")}
        options |= {"target": "t", "sidecar": tmp_path / f"{name}.json"}
        options |= {"manifest": tmp_path / "fold.json", "scoring": tmp_path / "scoring.json"}
        options |= {"output": tmp_path / f"{name}.csv", "slice": tmp_path / "slice.npz"}
        assert command("evaluate", options) == (0, "")
        tables[name] = read_metrics(tmp_path / f"{name}.csv")
    keys = ["method", "target", "fold", "seed", "subject", "region", "metric"]
    joined = tables["fod"].merge(tables["signal"], on=keys, how="outer", indicator=True)
    alone = joined[joined["_merge"] != "both"].groupby("_merge", observed=True)["metric"].unique()
    assert set(alone["left_only"]) == {"angular_error"}
    assert set(alone["right_only"]) == {
        *("fa_mae", "md_mae", "mean_fa", "mean_fa_target", "mean_md", "mean_md_target")
    }
