"""CNN-RISH: it rescales orders, in raw units that it keeps."""

import json

import numpy as np
import pytest
import torch
from conftest import FIT_SETTINGS, write_fold

from harmonization.images.coefficients import denormalise, normalise, rish
from harmonization.learning.layers import count_parameters, upsample
from harmonization.learning.manifest import Fold
from harmonization.learning.models import FitSettings, NetworkModel, load_model
from harmonization.learning.network import Task
from harmonization.networks.cnn_rish import FLOOR, CnnRish

SIZES = [1, 5]
SOURCE = {"mean": [0.3, 0.1, -0.1, 0.2, 0, 0], "std": [0.1, 0.2, 0.1, 0.1, 0.3, 0.2]}
TARGET = {"mean": [0.5, 0, 0.1, -0.3, 0, 0.1], "std": [0.2, 0.4, 0.1, 0.2, 0.3, 0.1]}
GAINS = np.array([1.5, 0.4])  # of each order
GAIN = GAINS.repeat(SIZES)  # of each coefficient


def cnn_rish(r=1, channels=6, width=8):
    network = CnnRish(Task(channels, {"t": r}, "t", 0), width=width).eval()
    if channels == 6:
        network.know_units(SOURCE, {"t": TARGET})
    return network


def excite(network):
    """Give the last layer values, as a training does."""
    torch.manual_seed(1)
    torch.nn.init.normal_(network.log_ratio[-1].conv.weight, std=0.1)
    return network


def raw_source(rng, shape=(11, 11, 11)):
    return (rng.standard_normal((*shape, 6)) * SOURCE["std"] + SOURCE["mean"]).astype(np.float32)


def window(raw):
    """A raw image as a network's input."""
    normalised = normalise(raw, SOURCE).astype(np.float32)
    return torch.from_numpy(normalised).permute(3, 0, 1, 2)[None]


@torch.no_grad()
def predicted(network, raw):
    """Raw prediction (x, y, z, c) from a raw window."""
    y = network(window(raw))["t"][0].permute(1, 2, 3, 0).numpy()
    return denormalise(y, TARGET)


@pytest.mark.parametrize(("r", "wanted"), [(1, 18_052), (2, 66_464)])
def test_number_of_parameters(r, wanted):
    """By hand: 4 orders to 64 by 3^3, 64 to 64 by 1^3, and 64 to 4 r^3 by 3^3."""
    by_hand = (27 * 4 * 64 + 64) + (64 * 64 + 64) + (27 * 64 + 1) * 4 * r**3
    assert count_parameters(cnn_rish(r, 28, width=64)) == by_hand == wanted


@pytest.mark.parametrize("r", [1, 2])
def test_it_starts_as_the_source_in_raw_units(r, rng):
    raw = raw_source(rng)
    wanted = upsample(torch.from_numpy(raw).permute(3, 0, 1, 2)[None], r)
    wanted = wanted[0].permute(1, 2, 3, 0).numpy()
    np.testing.assert_allclose(predicted(cnn_rish(r), raw), wanted, atol=1e-6)


@pytest.mark.parametrize("r", [1, 2])
def test_all_coefficients_of_an_order_are_rescaled_alike(r, rng):
    """Signs and directions stay; the factor is that of the predicted energies."""
    raw, network = raw_source(rng), excite(cnn_rish(r))
    before, after = predicted(cnn_rish(r), raw), predicted(network, raw)
    factors = np.sqrt(rish(after, 2) / rish(before, 2))
    assert factors.std() > 0.01
    np.testing.assert_allclose(after, factors.repeat(SIZES, axis=-1) * before, atol=1e-5)


def test_it_sees_energies_only(rng):
    """Other signs within an order change signs of the prediction, and nothing else."""
    raw, network = raw_source(rng), excite(cnn_rish())
    signs = np.array([1, 1, -1, -1, 1, -1], dtype=np.float32)
    np.testing.assert_allclose(
        predicted(network, signs * raw), signs * predicted(network, raw), atol=1e-5
    )


@pytest.mark.parametrize("r", [1, 2])
def test_it_undoes_a_gain_of_each_order(r, rng):
    """A bias that is the logarithm of the ratio of energies undoes it, in all fine voxels."""
    raw, network = raw_source(rng), cnn_rish(r)
    with torch.no_grad():
        ratio = torch.from_numpy(2 * np.log(GAINS)).float()
        network.log_ratio[-1].conv.bias.copy_(ratio.repeat_interleave(r**3))
    wanted = GAIN * predicted(cnn_rish(r), raw)
    np.testing.assert_allclose(predicted(network, raw), wanted, atol=1e-6)


def test_empty_space_is_no_extreme():
    """Where all raw coefficients are 0, the logarithm ends at its floor and the output is 0."""
    network, seen = excite(cnn_rish()), []
    network.log_ratio.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    np.testing.assert_allclose(predicted(network, np.zeros((11, 11, 11, 6))), 0, atol=1e-6)
    torch.testing.assert_close(seen[0], torch.full_like(seen[0], float(np.log(FLOOR))))


@pytest.fixture
def fold(tmp_path, rng):
    """A target that differs from the source by a gain of each order alone."""
    scans = {}
    for subject in "xyz":
        source = raw_source(rng, (14, 14, 7))
        images = {"source": source, "t": GAIN * source}
        scans[subject] = {p: (image, np.ones(image.shape[:3])) for p, image in images.items()}
    return write_fold(tmp_path, scans, {"t": 1})


def fitted(command, fold, steps=60):
    """Folder of a model that the command `fit` made."""
    training = {
        "batch_size": 4,
        "validate_every": steps,
        "phases": [{"steps": steps, "learning_rate": 0.03, "warm_up": 5}],
    }
    settings = {"plugin": "cnn_rish", "settings": {"width": 8}, "training": training}
    options = {
        "method": "cnn_rish",
        "settings": json.dumps(FIT_SETTINGS | settings),
        "manifest": fold,
        "target": "t",
        "fold": 0,
        "seed": 0,
        "seeded-as": "cnn_rish",
        "output": fold.parent / "model",
    }
    assert command("fit", options) == (0, "")
    return fold.parent / "model"


def test_training_undoes_a_gain_of_each_order(command, fold, rng):
    model, card = load_model(fitted(command, fold))
    raw = raw_source(rng, (7, 7, 7))
    image = model.apply(raw, np.ones(raw.shape[:3]), card, "t")
    error, difference = (np.square(y - GAIN * raw).mean() for y in (image, raw))
    assert error < 0.02 * difference


def test_a_model_is_loaded_with_its_units(command, fold, rng):
    """What was fitted, and what is read from disk, predict the same bytes."""
    folder = fitted(command, fold, steps=6)
    model, card = load_model(folder)
    again, _ = load_model(folder)
    units = Fold(fold).normalisation
    network = CnnRish(card.specification.task, width=8)
    fresh = NetworkModel(network)
    network.know_units(units["source"], {"t": units["t"]})
    network.log_ratio.load_state_dict(model.network.log_ratio.state_dict())
    raw = raw_source(rng, (7, 7, 7))
    images = [m.apply(raw, np.ones((7, 7, 7)), card, "t") for m in (model, again, fresh)]
    assert np.array_equal(images[0], images[1])
    assert np.array_equal(images[0], images[2])


def test_the_fit_tells_every_network_its_units(fold):
    """Even one that is not trained."""
    network = CnnRish(Task(6, {"t": 1}, "t", 0), width=8)
    NetworkModel(network).fit(Fold(fold), FitSettings())
    mean = np.float32(Fold(fold).normalisation["t"]["mean"])
    np.testing.assert_array_equal(network.target_mean.numpy(), mean)
