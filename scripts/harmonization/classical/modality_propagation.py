"""Modality propagation: the target of each voxel comes from the nearest patches of other people."""

from collections.abc import Iterable, Iterator
from itertools import islice, product

import numpy as np
from scipy.ndimage import uniform_filter
from scipy.sparse import csr_array

from harmonization.images.coefficients import Statistics, denormalise, normalise
from harmonization.images.grids import bounding_box, channels_to_parts, parts_to_channels
from harmonization.learning.common_space import TemplateModel, coarse
from harmonization.learning.manifest import Fold
from harmonization.learning.models import FitSettings, Model, Outcome
from harmonization.learning.network import Task
from harmonization.settings import Count

PATCH = 3  # voxels along an edge of the patches that are compared
WINDOW = 5  # voxels along an edge of the window that is searched
SHARE = 0.5  # of the weights of an interpolation that must lie in the brain


class ModalityPropagation(TemplateModel):
    """Mean target of the nearest source patches, found anew with the prediction (Ye 2013).

    The training subjects' sources and targets lie in the template and are pulled into a new head,
    which itself is never resampled. Of all voxels of all training subjects in the 5^3 window around
    a voxel, those count whose 3^3 patches of the source are nearest; the prediction is the mean of
    their targets. In the rounds that follow, patches of the source and of the prediction are
    compared together, so that neighbours come to agree.

    Ours: coefficients are compared as `normalise` gives them, source and target with one scale
    each, so that the distance is the error that scores the methods and noisy orders do not count
    more; for super-resolution, the r^3 parts of a voxel are propagated together and their mean is
    compared; only voxels in both brains enter the distance of two patches; a voxel without any
    candidate keeps its source, in the target's units. Warps do not turn the coefficients: heads are
    aligned to within a few degrees.

    Parameters
    ----------
    neighbours
        Numbers of nearest patches to try on the validation subjects.
    rounds
        Largest number of rounds to try on the validation subjects.
    """

    fitted = ("template", "brains", "sources", "targets", "units", "chosen")

    def __init__(
        self,
        task: Task,
        components: dict[str, Model] | None = None,
        *,
        neighbours: list[Count],
        rounds: Count,
    ) -> None:
        super().__init__(task, components)
        self.neighbours, self.rounds = neighbours, rounds
        # The atlas: brains in the template, (subjects, x, y, z), and normalised values of their
        # voxels, one subject after the other.
        self.brains = np.zeros((0, 1, 1, 1), dtype=bool)
        self.sources = np.zeros((0, task.channels), dtype=np.float16)
        self.targets = np.zeros((0, task.r**3 * task.channels), dtype=np.float16)
        self.units = np.ones((2, 2, task.channels))  # mean and std of source and target
        self.chosen = np.array([neighbours[0], rounds])
        self._running: dict[str, Iterator[np.ndarray]] = {}

    def fit(self, fold: Fold, settings: FitSettings) -> Outcome:
        """Take the training subjects as the atlas; choose neighbours and rounds on validation."""
        self._use_template(settings.template)
        statistics = (fold.normalisation[p] for p in (fold.source, self.task.target))
        self.units = np.array([[s["mean"], s["std"]] for s in statistics])
        atlas = [self._place(fold, subject) for subject in fold.subjects("train")]
        brains, sources, targets = zip(*atlas, strict=True)
        self.brains = np.stack(brains)
        self.sources, self.targets = np.concatenate(sources), np.concatenate(targets)
        trials = []
        for neighbours in self.neighbours:
            self.chosen, self._running = np.array([neighbours, self.rounds]), {}
            for number in range(1, self.rounds + 1):
                trials.append((self.validation_mse(fold), neighbours, number))
        self._running = {}
        error, neighbours, rounds = min(trials)
        self.chosen = np.array([neighbours, rounds])
        return Outcome({"neighbours": neighbours, "rounds": rounds, "validation_mse": error})

    def predict_known(self, subject: str, source: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The subject's next round: each validation goes on where the one before it ended."""
        if subject not in self._running:
            to_template = self._known.to_template(subject)
            self._running[subject] = self._predictions(source, mask, to_template)
        return next(self._running[subject])

    def predict_placed(
        self, source: np.ndarray, mask: np.ndarray, to_template: np.ndarray
    ) -> np.ndarray:
        predictions = self._predictions(source, mask, to_template)
        return next(islice(predictions, int(self.chosen[1]) - 1, None))

    def _place(self, fold: Fold, subject: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A training subject in the template: its brain, and its source and target there."""
        r, of_target = self.task.r, self.task.target
        whole = coarse(fold.mask(subject, of_target)[..., None] > 0, r)[..., 0] == 1
        brain = whole & (fold.mask(subject, fold.source) > 0)
        source = self._normalised(fold.image(subject, fold.source), 0)
        target = parts_to_channels(self._normalised(fold.image(subject, of_target), 1), r)
        weights = interpolation(self._known.to_head(subject), brain)
        reached = np.diff(weights.indptr) > 0
        source, target = (weights[reached] @ values[brain] for values in (source, target))
        # Half precision is far finer than the noise of normalised values.
        halves = source.astype(np.float16), target.astype(np.float16)
        return reached.reshape(self.template.shape), *halves

    def _predictions(
        self, source: np.ndarray, mask: np.ndarray, to_template: np.ndarray
    ) -> Iterator[np.ndarray]:
        """Predict like `predict_placed`, round after round without end."""
        # What lies outside of the head's box is no candidate.
        r, box = self.task.r, bounding_box(mask > 0)
        brain, own = mask[box] > 0, self._normalised(source, 0)[box]
        weights = [interpolation(to_template[box], there) for there in self.brains]
        query, keys = own, self._subjects(self.sources)
        while True:
            images = (image_of(w, k, brain.shape) for w, k in zip(weights, keys, strict=True))
            nearest = search(query, brain, images, int(self.chosen[0]))
            values = mean_of(nearest, weights, self._subjects(self.targets))
            # Where no brain of the atlas is near, the source, in the target's units.
            values = np.where(np.isnan(values), np.tile(own[brain], r**3), values)
            yield self._image(values, mask, r)
            prediction = np.zeros_like(own)
            prediction[brain] = mean_of_parts(values, r)
            query = np.concatenate([own, prediction], axis=-1)
            keys = self._joined()

    def _joined(self) -> Iterator[np.ndarray]:
        """Source and mean target of each subject's voxels, (voxels, 2 c)."""
        pairs = zip(self._subjects(self.sources), self._subjects(self.targets), strict=True)
        for source, target in pairs:
            yield np.concatenate([source, mean_of_parts(target, self.task.r)], axis=-1)

    def _subjects(self, values: np.ndarray) -> Iterator[np.ndarray]:
        """Values of each subject's voxels, from those of the whole atlas, as float32."""
        ends = np.cumsum(self.brains.sum(axis=(1, 2, 3)))
        for own in np.split(values, ends[:-1]):
            yield own.astype(np.float32)

    def _image(self, values: np.ndarray, mask: np.ndarray, r: int) -> np.ndarray:
        """Image in raw units of the target, from the normalised values of the brain's voxels."""
        image = np.zeros((*mask.shape, values.shape[-1]), dtype=np.float32)
        image[mask > 0] = values
        return denormalise(channels_to_parts(image, r), self._statistics(1))

    def _normalised(self, image: np.ndarray, platform: int) -> np.ndarray:
        return normalise(image, self._statistics(platform)).astype(np.float32, copy=False)

    def _statistics(self, platform: int) -> Statistics:
        """Statistics of the source, 0, or of the target, 1."""
        return dict(zip(("mean", "std"), self.units[platform].tolist(), strict=True))


class Nearest:
    """The nearest candidates of each voxel among those seen so far.

    Parameters
    ----------
    count : int
        How many are kept.
    voxels : int
    """

    def __init__(self, count: int, voxels: int) -> None:
        self.distances = np.full((count, voxels), np.inf, dtype=np.float32)
        self.candidates = np.full((count, voxels), -1)  # -1 where there are fewer

    def offer(self, distances: np.ndarray, candidates: np.ndarray) -> None:
        """Let one candidate of each voxel, (voxels,), replace the farthest if it is nearer."""
        nearer = np.flatnonzero(distances < self.distances.max(axis=0))
        farthest = self.distances[:, nearer].argmax(axis=0)
        self.distances[farthest, nearer] = distances[nearer]
        self.candidates[farthest, nearer] = candidates[nearer]


def search(
    query: np.ndarray, brain: np.ndarray, keys: Iterable[np.ndarray], count: int
) -> np.ndarray:
    """Find the voxels whose patches are nearest to the patch of each voxel.

    Parameters
    ----------
    query : ndarray of float32, shape (x, y, z, n)
    brain : ndarray of bool, shape (x, y, z)
        Its b voxels are those that are searched for.
    keys : iterable of ndarray of float32, shape (x, y, z, n)
        One image for each subject; NaN outside of its brain.
    count : int

    Returns
    -------
    ndarray of int, shape (count, b)
        Subject times x y z, plus the voxel's number in C order; -1 where there are fewer.
    """
    reach = WINDOW // 2
    numbers = np.pad(np.arange(brain.size).reshape(brain.shape), reach)
    nearest = Nearest(count, brain.sum())
    for subject, key in enumerate(keys):
        padded = np.pad(key, [(reach, reach)] * 3 + [(0, 0)], constant_values=np.nan)
        inside = np.isfinite(padded[..., 0])
        # All voxels are compared with those at the same shift at once.
        for corner in product(range(WINDOW), repeat=3):
            view = tuple(slice(c, c + n) for c, n in zip(corner, brain.shape, strict=True))
            distances = patch_distances(query, padded[view], brain & inside[view])
            distances[~inside[view]] = np.inf
            nearest.offer(distances[brain], subject * brain.size + numbers[view][brain])
    return nearest.candidates


def patch_distances(one: np.ndarray, other: np.ndarray, both: np.ndarray) -> np.ndarray:
    """Mean squared distance of two images over the patch around each voxel.

    Parameters
    ----------
    one, other : ndarray of float32, shape (x, y, z, n)
    both : ndarray of bool, shape (x, y, z)
        Voxels that count.

    Returns
    -------
    ndarray of float32, shape (x, y, z)
    """
    difference = one - other
    squares = np.where(both, np.einsum("xyzn,xyzn->xyz", difference, difference), 0)
    total = uniform_filter(squares, PATCH, mode="constant")
    share = uniform_filter(both.astype(np.float32), PATCH, mode="constant")
    return total / np.maximum(share, np.finfo(np.float32).eps)


def mean_of(
    candidates: np.ndarray, weights: list[csr_array], values: Iterable[np.ndarray]
) -> np.ndarray:
    """Mean value of each voxel's candidates.

    Parameters
    ----------
    candidates : ndarray of int, shape (count, b)
        As from `search`.
    weights : list of csr_array, shape (x y z, v)
        For each subject, as from `interpolation`.
    values : iterable of ndarray of float32, shape (v, n)
        For each subject, of the voxels of its brain.

    Returns
    -------
    ndarray of float32, shape (b, n)
        NaN where a voxel has no candidate.
    """
    found = np.maximum((candidates >= 0).sum(axis=0), 1).astype(np.float32)
    total = np.float32(0)
    for subject, (places, own) in enumerate(zip(weights, values, strict=True)):
        owner, place = np.divmod(candidates, places.shape[0])
        rank, voxel = np.nonzero(owner == subject)
        shape = candidates.shape[1], places.shape[0]
        chosen = csr_array((1 / found[voxel], (voxel, place[rank, voxel])), shape=shape)
        total = total + chosen @ (places @ own)
    return np.where((candidates >= 0).any(axis=0)[:, None], total, np.float32(np.nan))


def interpolation(coordinates: np.ndarray, brain: np.ndarray) -> csr_array:
    """Weights of linear interpolation between the voxels of a brain.

    A point at the edge is interpolated between those of its neighbours that are in the brain, as
    long as these have most of the weight; so a brain that is moved twice does not shrink.

    Parameters
    ----------
    coordinates : ndarray, shape (x', y', z', 3)
        Of p points on the grid of `brain`, voxels.
    brain : ndarray of bool, shape (x, y, z)
        It has b voxels.

    Returns
    -------
    csr_array of float32, shape (p, b)
        The weights of a point add up to 1; there are none outside of the brain.
    """
    points = coordinates.reshape(-1, 3)
    low = np.floor(points).astype(int)
    high = points - low  # weight of the upper neighbour along each axis
    numbers = np.full(np.add(brain.shape, 2), -1)
    numbers[1:-1, 1:-1, 1:-1][brain] = np.arange(brain.sum())
    corners = list(product((0, 1), repeat=3))
    weights = np.stack([np.where(c, high, 1 - high).prod(axis=1) for c in corners], axis=1)
    columns = np.stack([numbers[tuple((low + 1 + c).T)] for c in corners], axis=1)
    weights = np.where(columns >= 0, weights, 0)
    total = weights.sum(axis=1, keepdims=True)
    used = (weights > 0) & (total > SHARE)
    shares = (weights / np.maximum(total, SHARE)).astype(np.float32)
    shape = len(points), int(brain.sum())
    return csr_array((shares[used], (np.nonzero(used)[0], columns[used])), shape=shape)


def image_of(weights: csr_array, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Interpolate values (v, n) of a brain's voxels on a grid (x, y, z, n); NaN outside of it."""
    image = weights @ values
    image[np.diff(weights.indptr) == 0] = np.nan
    return image.reshape(*shape, -1)


def mean_of_parts(values: np.ndarray, r: int) -> np.ndarray:
    """Mean over the r^3 parts of each voxel, (v, c) from (v, r^3 c)."""
    return values.reshape(len(values), r**3, -1).mean(axis=1)
