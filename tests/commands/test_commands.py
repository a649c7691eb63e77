"""The commands: bad input ends with one line that names it, and leaves nothing half-written."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import write_model
from scipy.spatial.transform import Rotation

from harmonization.data.bids import read_gradients, write_gradients
from harmonization.files import read_json, sha256, write_json
from harmonization.images.nifti import read_image, write_image
from harmonization.learning.models import Specification
from harmonization.learning.network import Task
from harmonization.phantom.acquisition import gradient_scheme

AFFINE = np.diag([2.4, 2.4, 2.4, 1.0])
SH = {
    "representation": "fod",
    "order": 4,
    "shell": 1200,
    "normalise_by_b0": True,
    "response": {"eigenvalues": [1.7e-3, 0.3e-3, 0.3e-3], "s0": 1.0},
    "regularisation": 0.006,
}
STATISTICS = {"mean": [0.0] * 15, "std": [1.0] * 15}


@pytest.fixture
def scan(tmp_path):
    """A small scan with two b=0 volumes and thirty directions, and the options to fit it."""
    bvals, directions = gradient_scheme({1200: 30}, 2)
    signal = np.exp(-bvals * 1e-3 * (0.5 + directions[:, 0] ** 2))
    mask = np.zeros((6, 7, 8), np.uint8)
    mask[1:5, 1:6, 1:7] = 1
    data = (100 * mask[..., None] * signal).astype(np.float32)
    paths = {name: tmp_path / name for name in ("bval", "bvec")}
    paths |= {"dwi": tmp_path / "dwi.nii.gz", "mask": tmp_path / "mask.nii.gz"}
    write_image(paths["dwi"], data, AFFINE)
    write_image(paths["mask"], mask, AFFINE)
    write_gradients(paths["bval"], paths["bvec"], bvals, directions, AFFINE)
    outputs = {name: tmp_path / "out" / name for name in ("sh.nii", "sh-mask.nii", "sh.json")}
    return {
        **paths,
        "grid": paths["mask"],
        "settings": json.dumps(SH),
        "sh": outputs["sh.nii"],
        "sh-mask": outputs["sh-mask.nii"],
        "sh-sidecar": outputs["sh.json"],
    }


def test_a_scan_is_fitted_and_its_sidecar_states_the_conventions(command, scan):
    assert command("fit_sh", scan) == (0, "")
    image, affine = read_image(scan["sh"])
    assert image.shape == (4, 5, 6, 15)
    np.testing.assert_allclose(affine[:3, 3], 2.4, rtol=1e-6)
    assert read_image(scan["sh-mask"])[0].all()
    sidecar = read_json(scan["sh-sidecar"])
    assert (sidecar["basis"], sidecar["legacy"]) == ("descoteaux07", False)
    assert {key: sidecar[key] for key in SH} == SH


@pytest.mark.parametrize("flipped", [(0,), (1,), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("turn", [(0, 0, 0), (25, -15, 40)])
def test_a_head_has_the_same_coefficients_however_it_is_stored(command, scan, flipped, turn):
    """Neither another order of voxels nor an oblique grid changes directions in the world."""
    oblique = np.eye(4)
    oblique[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    data, affine = read_image(scan["dwi"])
    mask, _ = read_image(scan["mask"])
    bvals, directions = read_gradients(scan["bval"], scan["bvec"], affine)
    stored = {}
    for name, axes in (("plain", ()), ("flipped", flipped)):
        reorder = np.eye(4)
        for axis in axes:
            reorder[axis, axis] = -1
            reorder[axis, 3] = data.shape[axis] - 1
        new = oblique @ affine @ reorder
        write_image(scan["dwi"], np.flip(data, axes), new)
        write_image(scan["mask"], np.flip(mask, axes), new)
        write_gradients(scan["bval"], scan["bvec"], bvals, directions, new)
        assert command("fit_sh", scan) == (0, "")
        stored[name] = np.flip(read_image(scan["sh"])[0], axes)
    np.testing.assert_allclose(stored["flipped"], stored["plain"], atol=2e-5)


def test_the_signal_itself_is_the_other_representation(command, scan):
    settings = json.dumps({**SH, "representation": "signal", "regularisation": 0.0})
    assert command("fit_sh", {**scan, "settings": settings}) == (0, "")
    image, _ = read_image(scan["sh"])
    # l=0 is the mean over the sphere, times sqrt(4 pi): between exp(-1.8) and exp(-0.6).
    mean = image[..., 0] / np.sqrt(4 * np.pi)
    assert (mean > np.exp(-1.8)).all()
    assert (mean < np.exp(-0.6)).all()


def test_effects_are_compared_by_what_is_left_of_them(command, tmp_path):
    rows = [("identity", 4e-3), ("affine", 3e-3), ("ridge", 1e-3)]
    for name, scale in (("pose", 1.0), ("none", 0.0)):
        frame = pd.DataFrame(
            {
                "method": m,
                "family": "f",
                "target": "t",
                "subject": "01",
                "region": "brain",
                "metric": "truth_mse",
                "value": v * scale,
            }
            for m, v in rows
        )
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    options = {
        "effects": ["pose", "none"],
        "methods": ["identity", "affine", "ridge"],
        "metrics": [tmp_path / "pose.csv", tmp_path / "none.csv"],
        "output": tmp_path / "effects.csv",
    }
    assert command("compare_effects", options) == (0, "")
    table = pd.read_csv(options["output"]).set_index("effect")
    assert table.loc["pose", "ridge"] == 1.0
    assert table.loc["pose", "undone"] == 0.75
    assert np.isnan(table.loc["none", "undone"])

    status, error = command("compare_effects", {**options, "effects": ["pose"]})
    assert status == 1
    assert error == "error: --effects: 1 names for 2 files of --metrics\n"
    status, error = command("compare_effects", {**options, "methods": ["identity", "denoised"]})
    assert (status, len(error.splitlines())) == (1, 1)
    assert "--methods: denoised: not in the run of 'pose'" in error


def truncate(scan):
    content = scan["dwi"].read_bytes()
    scan["dwi"].write_bytes(content[: len(content) // 2])


def no_image(scan):
    scan["dwi"].write_text("not an image")


def not_finite(scan):
    data, affine = read_image(scan["dwi"])
    data[2, 2, 2, 3] = np.nan
    write_image(scan["dwi"], data, affine)


def fewer_bvals(scan):
    bvals = scan["bval"].read_text().split()
    scan["bval"].write_text(" ".join(bvals[:-1]))


def words_as_bvals(scan):
    scan["bval"].write_text("b1200 b0")


def long_directions(scan):
    np.savetxt(scan["bvec"], 1.5 * np.loadtxt(scan["bvec"]))


def fewer_volumes(scan):
    data, affine = read_image(scan["dwi"])
    write_image(scan["dwi"], data[..., :-1], affine)


def other_shell(scan):
    scan["settings"] = json.dumps({**SH, "shell": 3000})


def high_order(scan):
    scan["settings"] = json.dumps({**SH, "order": 8})


def empty_grid(scan):
    write_image(scan["grid"], np.zeros((6, 7, 8), np.uint8), AFFINE)


def small_mask(scan):
    scan["mask"] = scan["mask"].with_name("small.nii.gz")
    write_image(scan["mask"], np.ones((3, 3, 3), np.uint8), AFFINE)


def missing(scan):
    scan["dwi"].unlink()


@pytest.mark.parametrize(
    ("spoil", "named", "finding"),
    [
        (truncate, "dwi.nii.gz", "cannot be read as NIfTI"),
        (no_image, "dwi.nii.gz", "is no NIfTI image"),
        (not_finite, "dwi.nii.gz", "holds NaN or infinite values"),
        (fewer_bvals, "bvec", "for the 31 b-values in bval"),
        (words_as_bvals, "bval", "not a table of numbers"),
        (long_directions, "bvec", "has length 1.5, not 1"),
        (fewer_volumes, "bval", "32 b-values for 31 volumes"),
        (other_shell, "bval", "no volume at b=3000; its shells are"),
        (high_order, "spherical_harmonics.order", "order 8 needs 45 directions"),
        (empty_grid, "mask.nii.gz", "the brain mask is empty"),
        (small_mask, "small.nii.gz", "shape (3, 3, 3) differs"),
        (missing, "dwi.nii.gz", "no such file"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_bad_scan_is_refused(command, scan, spoil, named, finding):
    spoil(scan)
    status, error = command("fit_sh", scan)
    assert status == 1
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
    assert named in error
    assert finding in error
    assert not list(scan["sh"].parent.glob("*"))


def test_voxels_without_signal_are_not_scored(command, scan):
    data, affine = read_image(scan["dwi"])
    data[2, 3, 4] = 0
    data[2, 3, 5, :2] = 0  # at b=0 only
    write_image(scan["dwi"], data, affine)
    assert command("fit_sh", scan) == (0, "")
    mask = read_image(scan["sh-mask"])[0]
    assert mask[1, 2, 3] == 0
    assert mask[1, 2, 4] == 0
    assert mask.sum() == mask.size - 2


def test_brains_that_do_not_meet_are_one_line(command, scan, tmp_path):
    away = np.eye(4)
    away[0, 3] = 250
    np.savetxt(tmp_path / "transform.txt", away)
    status, error = command("fit_sh", scan | {"transform": tmp_path / "transform.txt"})
    assert (status, len(error.splitlines())) == (1, 1)
    assert f"{scan['dwi']}: its brain does not meet the source's" in error


def test_registration_without_b0_is_refused(command, scan, tmp_path):
    weighted = tmp_path / "weighted.bval"
    weighted.write_text(" ".join(["1200"] * 32))
    directions = np.loadtxt(scan["bvec"])
    directions[0, :2] = 1  # of the b=0 volumes
    np.savetxt(scan["bvec"], directions)
    options = {
        "fixed": [scan[role] for role in ("dwi", "bval", "bvec", "mask")],
        "moving": [scan["dwi"], weighted, scan["bvec"], scan["mask"]],
        "program": "dipy",
        "model": "rigid",
        "transform": tmp_path / "transform.txt",
        "quality": tmp_path / "quality.json",
    }
    status, error = command("register", options)
    assert (status, len(error.splitlines())) == (1, 1)
    assert "weighted.bval: no volume with b below 50" in error
    assert not options["transform"].exists()


@pytest.mark.parametrize("accepted", [False, True])
def test_a_scan_that_did_not_register_stops_unless_accepted(command, tmp_path, accepted):
    """Register a head to one that is a third longer."""
    rng = np.random.default_rng(5)
    image = np.zeros((24, 24, 24), np.float32)
    image[4:20, 4:20, 4:20] = 100 + 50 * rng.random((16, 16, 16))
    tables = [tmp_path / "b0.bval", tmp_path / "b0.bvec"]
    tables[0].write_text("0 0")
    tables[1].write_text("0 0 0\n0 0 0")
    options = {
        "fixed": [tmp_path / "fixed.nii", *tables, tmp_path / "fixed_mask.nii"],
        "moving": [tmp_path / "moving.nii", *tables, tmp_path / "moving_mask.nii"],
        "program": "dipy",
        "model": "affine",
        "transform": tmp_path / "transform.txt",
        "quality": tmp_path / "quality.json",
    }
    for name, stretch in (("fixed", 1), ("moving", 1.35)):
        affine = AFFINE @ np.diag([stretch, 1, 1, 1])
        write_image(options[name][0], np.stack([image, image], axis=-1), affine)
        write_image(options[name][3], np.uint8(image > 0), affine)
    flags = ["--accept-implausible"] if accepted else []
    status, error = command("register", options, *flags)
    assert f"{tmp_path / 'moving.nii'}: did not register to" in error
    assert "stretches the head" in error
    assert status == (0 if accepted else 1)
    assert options["transform"].exists() == accepted
    assert options["quality"].exists() == accepted


@pytest.fixture
def model(tmp_path):
    """Folder of an untrained network for images of order 4."""
    specification = Specification("networks", "espcn", {}, Task(15, {"t": 1}, "t", 0))
    return write_model(tmp_path / "model", specification, SH)


def to_predict(tmp_path, model, channels):
    source = np.random.default_rng(0).standard_normal((8, 9, 10, channels)).astype(np.float32)
    write_image(tmp_path / "source.nii", source, AFFINE)
    write_image(tmp_path / "brain.nii", np.ones((8, 9, 10), np.uint8), AFFINE)
    return {
        "model": model,
        "source": tmp_path / "source.nii",
        "mask": tmp_path / "brain.nii",
        "target": "t",
        "output": tmp_path / "prediction.nii",
    }


def test_a_model_predicts_the_whole_brain(command, tmp_path, model):
    options = to_predict(tmp_path, model, 15)
    assert command("predict", options) == (0, "")
    image, affine = read_image(options["output"])
    assert image.shape == (8, 9, 10, 15)
    assert (np.abs(image).sum(axis=-1) > 0).all()
    np.testing.assert_allclose(affine, AFFINE, rtol=1e-6)


def test_an_image_of_another_order_is_refused(command, tmp_path, model):
    status, error = command("predict", to_predict(tmp_path, model, 28))
    assert (status, len(error.splitlines())) == (1, 1)
    assert "source.nii: shape (8, 9, 10, 28), but the model takes 15 coefficients" in error


@pytest.mark.parametrize(
    ("affine", "difference"),
    [
        (np.diag([-2.4, 2.4, 2.4, 1.0]), "its voxels run to LAS, not to RAS"),
        (np.diag([2.0, 2.4, 2.4, 1.0]), "its voxels are 2 x 2.4 x 2.4 mm, not 2.4 x 2.4 x 2.4"),
    ],
)
def test_an_image_that_is_stored_otherwise_is_refused(command, tmp_path, model, affine, difference):
    """Networks see neighbours, whose places no coefficient tells."""
    options = to_predict(tmp_path, model, 15)
    write_image(options["source"], read_image(options["source"])[0], affine)
    status, error = command("predict", options)
    assert (status, len(error.splitlines())) == (1, 1)
    assert difference in error


def test_damaged_weights_are_refused(command, tmp_path, model):
    weights = model / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    options = to_predict(tmp_path, model, 15)
    status, error = command("predict", options)
    assert (status, len(error.splitlines())) == (1, 1)
    assert "weights.safetensors: does not fit its card" in error
    assert not options["output"].exists()


@pytest.fixture
def to_score(tmp_path):
    """A prediction of three patches that count; it reaches the first only in part."""
    shape = (7, 7, 21)
    measured = np.ones((*shape, 15), np.float32)
    reached = np.ones(shape, np.uint8)
    reached[5:, :, :7] = 0
    prediction = np.where(reached[..., None], measured + 0.5, 0).astype(np.float32)
    images = {"prediction": prediction, "measured": measured, "mask": reached | 1, "own": reached}
    for name, image in images.items():
        write_image(tmp_path / f"{name}.nii", image, AFFINE)
    manifest = {
        "lattice": {"core": 7, "minimum_inside": 0.5},
        "scales": {"t": 1},
        "normalisation": {"t": STATISTICS},
    }
    write_json(tmp_path / "fold.json", manifest)
    write_json(tmp_path / "measured.json", SH)
    patches = [[0, 0, 0], [0, 0, 1], [0, 0, 2]]
    write_json(tmp_path / "scoring.json", {"test": ["x"], "patches": {"x": patches}})
    return dict.fromkeys(("method", "family", "fold", "seed", "subject"), "x") | {
        "target": "t",
        "prediction": tmp_path / "prediction.nii",
        "measured": tmp_path / "measured.nii",
        "mask": tmp_path / "mask.nii",
        "sidecar": tmp_path / "measured.json",
        "own-mask": tmp_path / "own.nii",
        "manifest": tmp_path / "fold.json",
        "scoring": tmp_path / "scoring.json",
        "output": tmp_path / "scores.csv",
        "slice": tmp_path / "slice.npz",
    }


def test_predictions_of_all_seeds_are_scored_and_the_first_is_shown(command, to_score, tmp_path):
    """Of two targets and two seeds, four predictions that are off by as much as no other is."""
    image, affine = read_image(to_score["measured"])
    wrong = {("0", "t"): 0.5, ("0", "u"): 1.0, ("1", "t"): 1.5, ("1", "u"): 2.0}
    predictions = [tmp_path / f"{target}-{seed}.nii" for seed, target in wrong]
    for path, offset in zip(predictions, wrong.values(), strict=True):
        write_image(path, image + np.float32(offset), affine)
    manifest = read_json(to_score["manifest"])
    manifest |= {"scales": {"t": 1, "u": 1}, "normalisation": dict.fromkeys("tu", STATISTICS)}
    write_json(to_score["manifest"], manifest)
    slices = [tmp_path / "t.npz", tmp_path / "u.npz"]
    options = to_score | {"seed": ["0", "1"], "target": ["t", "u"], "prediction": predictions}
    options |= {role: [to_score[role]] * 2 for role in ("measured", "mask", "sidecar", "own-mask")}
    assert command("evaluate", options | {"slice": slices}) == (0, "")
    rows = pd.read_csv(to_score["output"], dtype={"seed": str})
    found = rows[rows["metric"] == "patch_mse"].set_index(["seed", "target"])["value"]
    assert found.to_dict() == {k: pytest.approx(offset**2) for k, offset in wrong.items()}
    shown = [np.load(path)["prediction"].max() for path in slices]
    assert shown == [pytest.approx(1 + wrong["0", target]) for target in "tu"]


@pytest.mark.parametrize("seeds", [["0", "1", "2"], ["0"]])
def test_predictions_are_as_many_as_seeds(command, to_score, seeds):
    status, error = command("evaluate", to_score | {"seed": seeds, "prediction": ["a", "b"]})
    assert (status, len(error.splitlines())) == (1, 1)
    assert f"--prediction: 2 images; give {len(seeds)}, all targets by each seed" in error


def test_a_prediction_on_another_grid_is_not_scored(command, to_score):
    image, affine = read_image(to_score["prediction"])
    write_image(to_score["prediction"], image, affine + np.eye(4) * 0.1)
    status, error = command("evaluate", to_score)
    assert (status, len(error.splitlines())) == (1, 1)
    assert "prediction.nii: shape (7, 7, 21, 15) or affine differs" in error
    assert not to_score["output"].exists()


def patch_mse_in(path):
    return pd.read_csv(path).set_index("metric").loc["patch_mse", "value"]


def test_only_what_all_scans_reach_is_scored_and_the_log_says_so(command, to_score):
    assert command("evaluate", to_score) == (0, "")
    assert patch_mse_in(to_score["output"]) == pytest.approx(0.25)
    assert "of 3 patches that count, 1 in part and 0 not at all" in command.said


def test_a_patch_that_a_scan_does_not_reach_is_left_out(command, to_score, tmp_path):
    own = np.zeros((7, 7, 21), np.uint8)
    own[:, :, 7:] = 1
    write_image(tmp_path / "own.nii", own, AFFINE)
    assert command("evaluate", to_score) == (0, "")
    assert patch_mse_in(to_score["output"]) == pytest.approx(0.25)
    assert "of 3 patches that count, 0 in part and 1 not at all" in command.said
    write_image(tmp_path / "own.nii", np.zeros_like(own), AFFINE)
    status, error = command("evaluate", to_score)
    assert status == 1
    said = "no voxel of the patches that count lies in all masks"
    assert error.startswith(f"error: {to_score['prediction']}: {said}")


def test_the_fold_decides_which_patches_are_scored(command, to_score):
    """The scored target's mask does not: it may be full where another target's is not."""
    prediction, affine = read_image(to_score["prediction"])
    prediction[:, :, 14:] = 100.0
    write_image(to_score["prediction"], prediction, affine)
    write_json(to_score["scoring"], {"test": ["x"], "patches": {"x": [[0, 0, 1]]}})
    assert command("evaluate", to_score) == (0, "")
    assert patch_mse_in(to_score["output"]) == pytest.approx(0.25)


def test_patches_to_score_count_on_every_target(command, tmp_path):
    fine = np.ones((14, 14, 28), np.uint8)
    fine[:, :, :10] = 0
    write_image(tmp_path / "z.nii", np.ones((7, 7, 14), np.uint8), AFFINE)
    write_image(tmp_path / "a.nii", fine, AFFINE)
    options = {
        "subjects": "x",
        # Masks come in the order of the targets, scales in any.
        "targets": ["z", "a"],
        "masks": [tmp_path / "z.nii", tmp_path / "a.nii"],
        "references": [tmp_path / "a.nii"],
        "scales": json.dumps({"a": 2, "z": 1}),
        "lattice": json.dumps({"core": 7, "minimum_inside": 0.5}),
        "output": tmp_path / "scoring.json",
    }
    assert command("split_scoring", options) == (0, "")
    assert "patches count" in command.said
    written = read_json(options["output"])
    assert written.pop("references") == [sha256(tmp_path / "a.nii")]
    assert written == {"test": ["x"], "patches": {"x": [[0, 0, 1]]}}
