"""The lattice: every voxel counts once, and a network without padding sees no patches."""

import numpy as np
import pytest
import torch
from conftest import write_fold, write_model
from hypothesis import given, settings
from hypothesis import strategies as st

from harmonization.files import InputError, read_json, write_json
from harmonization.images.coefficients import mean_by_order, normalise
from harmonization.images.nifti import write_image
from harmonization.learning.lattice import BORDER, Lattice, pad_source, pad_target
from harmonization.learning.manifest import (
    Fold,
    common_layout,
    counted_patches,
    draw_patches,
    make_manifest,
)
from harmonization.learning.models import Specification, load_model
from harmonization.learning.network import Task
from harmonization.learning.patches import gather, patch_mse, read_part
from harmonization.networks.espcn import Espcn
from harmonization.report.scores import Scoring

SHAPES = st.tuples(*[st.integers(3, 20)] * 3)


@given(shape=SHAPES, scale=st.sampled_from([1, 2]), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_each_voxel_of_the_mask_lies_in_one_core(shape, scale, seed):
    lattice = Lattice()
    fine = tuple(n * scale for n in shape)
    label = np.arange(1, np.prod(fine) + 1).reshape(fine)
    cores = lattice.blocks(label, scale)
    found = cores[cores > 0]
    assert sorted(found) == label.ravel().tolist()
    mask = np.random.default_rng(seed).random(fine) < 0.5
    touched = lattice.touched(mask, scale)
    assert lattice.blocks(mask, scale)[touched].sum() == mask.sum()
    for core in lattice.counted([mask], [scale]):
        assert touched[tuple(core)]


@given(shape=SHAPES, scale=st.sampled_from([1, 2]))
@settings(max_examples=20, deadline=None)
def test_each_voxel_of_the_mask_is_scored_once(shape, scale):
    """Adding 1 to the error of any voxel in a core that counts adds exactly its share."""
    rng = np.random.default_rng(sum(shape))
    fine = tuple(n * scale for n in shape)
    mask = rng.random(fine) < 0.8
    lattice = Lattice()
    counted = lattice.counted([mask], [scale])
    if not len(counted):
        return
    scoring = Scoring(mask, lattice, scale, {"mean": [0.0], "std": [1.0]}, counted)
    # An error of 1 everywhere in the mask gives a patch MSE of 1: no voxel is used twice or missed.
    assert scoring.patch_mse(np.ones(fine)) == pytest.approx(1)
    assert scoring.patch_mse(np.where(mask, 0.0, 1e9)) == 0
    share = np.zeros(fine)
    voxel = tuple(np.argwhere(mask)[rng.integers(mask.sum())])
    share[voxel] = 1
    core = tuple(v // (lattice.core * scale) for v in voxel)
    inside = lattice.blocks(mask, scale)[core].sum()
    expected = 1 / inside / len(counted) if list(core) in counted.tolist() else 0
    assert scoring.patch_mse(share) == pytest.approx(expected)


def test_a_core_counts_from_half_of_its_voxels_in_the_mask():
    mask = np.zeros((7, 7, 14), dtype=bool)
    mask.reshape(-1, 14)[:24, :7] = True  # 24 of 49 columns: 49 % of the first core
    mask.reshape(-1, 14)[:25, 7:] = True  # 51 % of the second
    assert Lattice().counted([mask], [1]).tolist() == [[0, 0, 1]]
    assert len(Lattice(minimum_inside=0.4).counted([mask], [1])) == 2


def test_a_core_counts_only_where_it_does_on_every_target():
    coarse, fine = np.ones((7, 7, 14), dtype=bool), np.ones((14, 14, 28), dtype=bool)
    fine[:, :, :8] = False  # leaves 43 % of the first core on the finer target
    assert Lattice().counted([coarse], [1]).tolist() == [[0, 0, 0], [0, 0, 1]]
    assert Lattice().counted([coarse, fine], [1, 2]).tolist() == [[0, 0, 1]]


def test_gathered_windows_are_cuts_of_the_padded_image(rng):
    lattice = Lattice()
    image = rng.standard_normal((10, 15, 8, 3)).astype(np.float32)
    padded = pad_source(image, lattice)
    patches = torch.tensor([[0, 1, 2, 1], [0, 0, 0, 0]])
    windows = gather(torch.from_numpy(padded)[None], patches, lattice.core, lattice.window)
    assert windows.shape == (2, 3, 11, 11, 11)
    assert windows.is_contiguous(memory_format=torch.channels_last_3d)
    np.testing.assert_array_equal(
        windows[0].numpy(), padded[7:18, 14:25, 7:18].transpose(3, 0, 1, 2)
    )
    # The core of the first window is the first core of the image.
    core = windows[1, :, BORDER : BORDER + 7, BORDER : BORDER + 7, BORDER : BORDER + 7]
    np.testing.assert_array_equal(core.numpy(), image[:7, :7, :7].transpose(3, 0, 1, 2))


def test_tiling_equals_one_pass_over_the_whole_image(rng):
    """A fully convolutional network predicts the same core by core as in one pass."""
    lattice = Lattice()
    image = rng.standard_normal((14, 7, 14, 4)).astype(np.float32)
    padded = torch.from_numpy(pad_source(image, lattice))[None]
    network = Espcn(Task(4, {"t": 2}, "t", 0)).eval()
    with torch.no_grad():
        whole = network(padded.permute(0, 4, 1, 2, 3))["t"]
        for core in np.argwhere(np.ones(lattice.shape(image.shape))):
            patch = torch.tensor([[0, *core]])
            window = gather(padded, patch, lattice.core, lattice.window)
            x, y, z = (core * 14).tolist()
            expected = whole[:, :, x : x + 14, y : y + 14, z : z + 14]
            torch.testing.assert_close(network(window)["t"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("r", [1, 2])
def test_how_many_cores_are_predicted_at_once_changes_roundings_only(rng, monkeypatch, tmp_path, r):
    """Torch sums in another order for another number of windows."""
    specification = Specification("networks", "espcn", {}, Task(6, {"t": r}, "t", 0))
    model, card = load_model(write_model(tmp_path, specification, {}))
    source = rng.standard_normal((15, 14, 9, 6)).astype(np.float32)
    mask = rng.random((15, 14, 9)) < 0.1
    images = []
    for batch in (1, 5, 32):
        monkeypatch.setattr("harmonization.learning.models.BATCH", batch)
        images.append(model.apply(source, mask, card, "t"))
    assert images[0].std() > 0.01
    for image in images[1:]:
        np.testing.assert_allclose(image, images[0], rtol=1e-5, atol=1e-5)


def test_loss_and_score_are_the_same_number(rng):
    lattice = Lattice()
    shape = (16, 20, 14)
    mask = rng.random(shape) < 0.7
    prediction, target = rng.standard_normal((2, *shape, 5)).astype(np.float32)
    counted = lattice.counted([mask], [2])
    scoring = Scoring(mask, lattice, 2, {"mean": [0.0] * 5, "std": [1.0] * 5}, counted)
    scored = scoring.patch_mse(((prediction - target) ** 2).mean(axis=-1))

    cores = torch.from_numpy(np.insert(counted, 0, 0, axis=1))
    cut = [
        gather(torch.from_numpy(pad_target(v, lattice, 2))[None], cores, 14, 14)
        for v in (prediction, target, mask[..., None].astype(np.float32))
    ]
    assert patch_mse(*cut).mean().item() == pytest.approx(scored, rel=1e-5)


@given(seed=st.integers(0, 100), bias=st.floats(0, 2), draws=st.integers(2, 5))
@settings(max_examples=20, deadline=None)
def test_excess_is_the_distance_from_the_mean_without_the_noise_of_the_draws(seed, bias, draws):
    """On average, and whatever the noise in the target: here over 4,800 values of each order."""
    rng = np.random.default_rng(seed)
    shape, lattice = (14, 14, 28, 6), Lattice()
    noise = rng.standard_normal((draws, *shape))
    mask = np.ones(shape[:3], dtype=bool)
    scoring = Scoring(mask, lattice, 1, {"std": [1.0] * 6}, lattice.counted([mask], [1]))
    scores = scoring.scores(
        prediction=np.full(shape, bias),
        target=rng.standard_normal(shape),
        expected=noise.mean(axis=0),
        variance=mean_by_order(noise.var(axis=0, ddof=1) / draws),
        tissue=np.where(np.arange(28) < 14, 1, 4) * mask,
    )
    found = {(score.region, score.metric): score.value for score in scores}
    for region in ("brain", "white_matter", "lesion"):
        for metric in ("excess", "excess_l0", "excess_l2"):
            assert found[region, metric] == pytest.approx(bias**2, abs=0.3)  # five deviations
    assert found["lesion", "voxels"] == found["brain", "voxels"] / 2 == 14**3
    of_orders = found["brain", "patch_mse_l0"] / 6 + found["brain", "patch_mse_l2"] * 5 / 6
    assert found["brain", "patch_mse"] == pytest.approx(of_orders)


@pytest.fixture
def fold(rng, tmp_path):
    """A fold of three subjects on two targets; half of a core is missing on one of them.

    It is another core of the subject that validates.
    """
    scans = {}
    for subject in "abc":
        scans[subject] = {}
        for platform, r in (("source", 1), ("coarse", 1), ("fine", 2)):
            shape = (7 * r, 7 * r, 14 * r)
            mask = np.ones(shape)
            if platform == "fine":
                missing = mask[:, :, ::-1] if subject == "b" else mask
                missing[:, :, : 4 * r + r // 2] = 0
            scans[subject][platform] = rng.standard_normal((*shape, 6)), mask
    return write_fold(tmp_path, scans, {"coarse": 1, "fine": 2})


def test_patches_of_subjects_of_different_sizes_are_cut_from_their_own_images(rng, tmp_path):
    """The smaller of two training subjects is filled up to the size of the other."""
    scans = {}
    for subject, shape in {
        "a": (7, 14, 10),
        "b": (12, 8, 14),
        "c": (7,) * 3,
        "d": (7,) * 3,
    }.items():
        scans[subject] = {}
        for platform, r in (("source", 1), ("fine", 2)):
            grid = tuple(n * r for n in shape)
            scans[subject][platform] = rng.standard_normal((*grid, 6)), rng.random(grid) < 0.9
    fold = Fold(write_fold(tmp_path, scans, {"fine": 2}))
    data = read_part(fold, "train", ["fine"])
    windows, cores = data.batch(torch.arange(len(data)))
    assert sorted({int(subject) for subject in data.patches[:, 0]}) == [0, 1]
    for (number, *core), window, target, mask in zip(
        data.patches.tolist(), windows, *cores["fine"], strict=True
    ):
        subject = "ab"[number]
        images = {p: fold.image(subject, p) for p in ("source", "fine")}
        source, fine = (normalise(images[p], fold.normalisation[p]) for p in images)
        inside = fold.mask(subject, "fine")[..., None] > 0
        for found, image, edge, size in (
            (window, pad_source(source, fold.lattice), 7, 11),
            (target, pad_target(fine, fold.lattice, 2), 14, 14),
            (mask, pad_target(inside, fold.lattice, 2), 14, 14),
        ):
            x, y, z = (slice(edge * n, edge * n + size) for n in core)
            np.testing.assert_array_equal(found.permute(1, 2, 3, 0).numpy(), image[x, y, z])


@pytest.mark.parametrize(
    ("part", "counted"), [("train", [[0, 0, 0, 1]]), ("validation", [[0, 0, 0, 0]])]
)
def test_every_method_learns_from_the_same_patches(fold, part, counted):
    """Whichever targets a method reads, the fold decides which patches count."""
    read = [
        read_part(Fold(fold), part, targets).patches.tolist()
        for targets in (["coarse"], ["fine"], ["coarse", "fine"])
    ]
    assert read == [counted] * 3


def test_the_manifest_knows_nothing_of_the_test_subject(fold):
    manifest = read_json(fold)
    assert manifest["test"] == ["c"]
    assert set(manifest["patches"]) == set(manifest["files"]) == {"a", "b"}


def test_coefficients_are_normalised_by_the_brains_of_the_training_subjects(rng, tmp_path):
    """Subjects differ, and what lies outside a brain is far from what lies in it."""
    scans = {}
    for level, subject in enumerate("abcd", start=1):
        scans[subject] = {}
        for platform, r in (("source", 1), ("fine", 2)):
            mask = rng.random((7 * r, 7 * r, 7 * r)) < 0.5 + 0.1 * level
            image = level * rng.standard_normal((*mask.shape, 6)) + level**2
            image[mask] += r * np.arange(6)
            scans[subject][platform] = np.where(mask[..., None], image, 1e3), mask
    fold = Fold(write_fold(tmp_path, scans, {"fine": 2}))
    for platform in ("source", "fine"):
        brains = [fold.image(s, platform)[scans[s][platform][1]] for s in "ab"]
        voxels = np.concatenate(brains).astype(float)
        statistics = fold.normalisation[platform]
        np.testing.assert_allclose(statistics["mean"], voxels.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(statistics["std"], voxels.std(axis=0), rtol=1e-5)


def test_only_training_subjects_lose_patches_where_data_are_limited(rng, tmp_path):
    """Errors on validation are comparable between amounts of data."""
    scans = {
        s: {p: (rng.standard_normal((14, 14, 7, 6)), np.ones((14, 14, 7))) for p in ("source", "t")}
        for s in "abcd"
    }
    parts = {"train": ["a", "b"], "validation": ["c"], "test": ["d"]}
    whole = read_json(write_fold(tmp_path, scans, {"t": 1}))
    images = {
        s: {
            platform: {role: tmp_path / entry["path"] for role, entry in roles.items()}
            for platform, roles in whole["files"][s].items()
        }
        for s in "abc"
    }
    found = make_manifest(
        tmp_path, parts, images, "source", {"t": 1}, Lattice(), {"order": 2}, limit=(3, 0)
    )
    assert {s: len(patches) for s, patches in found["patches"].items()} == {"a": 3, "b": 3, "c": 4}
    assert found["patches"]["c"] == whole["patches"]["c"]
    assert found["normalisation"] == whole["normalisation"]


def test_a_subject_without_a_patch_that_counts_is_named(fold):
    mask = fold.parent / "a_coarse_mask.nii"
    write_image(mask, np.zeros((7, 7, 14), np.uint8), np.eye(4))
    with pytest.raises(InputError, match=r"a_coarse_mask\.nii: no patch of this subject has 50%"):
        counted_patches(
            {"coarse": mask, "fine": fold.parent / "a_fine_mask.nii"},
            {"fine": 2, "coarse": 1},
            Lattice(),
        )


def test_within_a_draw_fewer_patches_are_among_the_more():
    patches = [[x, y, z] for x in range(4) for y in range(5) for z in range(6)]
    drawn = {n: draw_patches(patches, n, draw=0, subject="a") for n in (8, 32, 120)}
    assert [len(found) for found in drawn.values()] == [8, 32, 120]
    assert all(found == sorted(found) for found in drawn.values())
    few, more, all_of_them = ({tuple(patch) for patch in found} for found in drawn.values())
    assert few < more < all_of_them == {tuple(patch) for patch in patches}
    assert draw_patches(patches, 8, draw=1, subject="a") != drawn[8]
    assert draw_patches(patches, 8, draw=0, subject="b") != drawn[8]


def test_more_patches_than_a_subject_has_are_refused_with_its_name():
    with pytest.raises(
        InputError, match=r"subject a has 1 patches, and limited_data\.patches asks"
    ):
        draw_patches([[0, 0, 0]], 2, draw=0, subject="a")


def test_sources_that_are_stored_in_different_ways_are_refused(fold):
    """Networks see neighbours: mirrored storage would mirror what they learn."""
    sources = [fold.parent / f"{subject}_source_sh.nii" for subject in "ab"]
    assert common_layout(sources) == {"voxel_size": [1, 1, 1], "axes": "RAS"}
    write_image(sources[1], np.zeros((7, 7, 14, 6), np.float32), np.diag([-1.0, 1, 1, 1]))
    with pytest.raises(InputError, match=r"b_source_sh\.nii: its voxels run to LAS, not to RAS as"):
        common_layout(sources)
    write_image(sources[1], np.zeros((7, 7, 14, 6), np.float32), np.diag([1.0, 1, 1.5, 1]))
    with pytest.raises(InputError, match=r"its voxels are 1 x 1 x 1.5 mm, not 1 x 1 x 1 as in"):
        common_layout(sources)


def test_a_changed_image_is_refused(fold):
    image = fold.parent / "a_coarse_sh.nii"
    write_image(image, np.zeros((7, 7, 14, 6), np.float32), np.eye(4))
    with pytest.raises(InputError, match=r"a_coarse_sh\.nii: has changed since"):
        read_part(Fold(fold), "train", ["coarse"])


def test_a_test_subject_in_another_part_is_refused(fold):
    write_json(fold, read_json(fold) | {"train": ["a", "c"]})
    with pytest.raises(InputError, match="test subject c is also in train"):
        Fold(fold)


def test_a_prediction_of_fewer_channels_is_refused():
    """It would be spread over all of them without a word."""
    target, mask = torch.zeros(2, 6, 7, 7, 7), torch.ones(2, 1, 7, 7, 7)
    with pytest.raises(InputError, match="predicts 1 x 7 x 7 x 7 values in place of 6 x 7 x 7 x 7"):
        patch_mse(target[:, :1], target, mask)
