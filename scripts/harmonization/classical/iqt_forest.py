"""IQT's regression forest: a linear map of the neighbourhood for each kind of voxel."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from scipy.ndimage import uniform_filter

from harmonization.images.coefficients import Statistics, denormalise, mean_by_order, normalise
from harmonization.images.grids import channels_to_parts, parts_to_channels
from harmonization.learning.images import ImageModel
from harmonization.learning.manifest import Fold
from harmonization.learning.models import FitSettings, Model, Outcome
from harmonization.learning.network import Task
from harmonization.learning.patches import stack_padded
from harmonization.settings import Count, Natural, NonNegative

CHUNK = 4096  # voxels whose neighbourhoods are in memory at a time
SIZES = 3, 5  # edges of the cubes whose mean energy a split may read, besides the voxel itself
LEVELS = np.arange(1, 16) / 16  # quantiles of a node's voxels that are tried as thresholds
WEAKEST = 1e-6  # penalty per voxel that keeps the search for splits and the evidence finite
FLOOR = 1e-10  # squared residual per voxel that single precision cannot tell from 0
ROUNDS = 200  # of the fixed point of the evidence; it takes tens


class IqtForest(ImageModel):
    """A forest of linear maps of the 3^3 neighbourhood (Alexander 2014, Tanno 2016).

    The energies of the orders of the spherical harmonics around a voxel lead it to a leaf of each
    tree, and the leaf's map predicts its r^3 split voxels. A tree grows on one half of its voxels.
    The other half decides which splits are worth it, and measures the variance of each leaf's
    residuals. Trees count by the inverse of it, coefficient by coefficient: a full covariance would
    have (r^3 c)^2 values for each leaf.

    A Bayesian map takes its penalty from the evidence instead (Gull 1989, MacKay 1992). Its
    variance also grows with the distance of a voxel from those that the leaf has seen.

    Parameters
    ----------
    trees
        Number of trees.
    voxels
        Voxels that a tree draws from the training subjects, half to grow and half to validate.
    depth
        Number of splits at most between the root and a leaf.
    penalties
        Ridge penalties to try in each node, per voxel and for normalised coefficients; null makes
        the maps Bayesian.
    """

    fitted = ("features", "thresholds", "leaves", "maps", "variances", "covariances", "units")

    def __init__(
        self,
        task: Task,
        components: dict[str, Model] | None = None,
        *,
        trees: Count,
        voxels: Count,
        depth: Natural,
        penalties: list[NonNegative] | None,
    ) -> None:
        super().__init__(task, components)
        self.trees, self.voxels, self.depth, self.penalties = trees, voxels, depth, penalties
        places = 2 ** (depth + 1) - 1  # the children of place i are 2 i + 1 and 2 i + 2
        self.features = np.full((trees, places), -1)  # that a node splits by; -1 does not split
        self.thresholds = np.zeros((trees, places), dtype=np.float32)
        self.leaves = np.full((trees, places), -1)  # row of a leaf in what follows
        self.maps = np.zeros((0, 0, 0), dtype=np.float32)  # (leaves, inputs, outputs)
        self.variances = np.zeros((0, 0), dtype=np.float32)  # (leaves, outputs)
        # (leaves, inputs, inputs), covariance of a Bayesian map in units of the variance
        self.covariances = np.zeros((0, 0, 0), dtype=np.float32)
        self.units = np.zeros((4, task.channels))  # mean and std of the source, then the target

    def fit(self, fold: Fold, settings: FitSettings) -> Outcome:  # noqa: ARG002
        """Grow each tree on voxels of the training subjects that it draws."""
        statistics = [fold.normalisation[p] for p in (fold.source, self.task.target)]
        self.units = np.array([s[key] for s in statistics for key in ("mean", "std")])
        voxels = read_voxels(fold, self.task.target, self.task.r)
        rng, leaves = np.random.default_rng(self.task.seed), []
        for tree in range(self.trees):
            drawn = rng.permutation(len(voxels.rows))[: self.voxels]
            halves = Halves(*map(np.sort, np.array_split(drawn, 2)))
            for place, node in self._grow(tree, voxels, halves):
                self.leaves[tree, place] = len(leaves)
                leaves.append(self._leaf(node))
        self.maps, self.variances, self.covariances = map(np.stack, zip(*leaves, strict=True))
        return Outcome({"leaves": len(leaves), "validation_mse": self.validation_mse(fold)})

    def predict(self, source: np.ndarray, mask: np.ndarray) -> np.ndarray:
        of_source, of_target = (
            {"mean": mean, "std": std} for mean, std in self.units.reshape(2, 2, -1).tolist()
        )
        brain = mask > 0
        voxels = Voxels.of([source], [brain], of_source)
        image = np.zeros((*brain.shape, self.maps.shape[-1]), dtype=np.float32)
        image[brain] = self._predict_voxels(voxels)
        return denormalise(channels_to_parts(image, self.task.r), of_target)

    def count_parameters(self) -> int:
        """Values of all leaves, and a feature and a threshold for each split."""
        of_leaves = self.maps.size + self.variances.size + self.covariances.size
        return of_leaves + 2 * int((self.features >= 0).sum())

    def _grow(self, tree: int, voxels: "Voxels", halves: "Halves") -> Iterator[tuple[int, "Node"]]:
        """Grow one tree; yield its leaves and their places."""
        regressors = voxels.regressors(halves.grow)
        waiting = [(0, self._node(halves, [voxels.sums(half) for half in halves]))]
        while waiting:
            place, node = waiting.pop()
            split = None
            if 2 * place + 2 < self.features.shape[1]:
                split = best_split(voxels.energies, regressors, halves.grow, node.halves)
            children = self._children(voxels, node, *split) if split else []
            # A split is worth it if it helps voxels on which it was not found.
            if children and sum(child.error.sum() for child in children) < node.error.sum():
                self.features[tree, place], self.thresholds[tree, place] = split
                waiting += zip((2 * place + 1, 2 * place + 2), children, strict=True)
            else:
                yield place, node

    def _children(
        self, voxels: "Voxels", node: "Node", feature: int, threshold: float
    ) -> list["Node"]:
        """Nodes of the voxels up to the threshold of a feature, and of those above it."""
        above = [voxels.energies[half, feature] > threshold for half in node.halves]
        sides = [
            Halves(*(half[up == side] for half, up in zip(node.halves, above, strict=True)))
            for side in (False, True)
        ]
        # Only the smaller side is summed; the other has what is left of the node's sums.
        smaller = int(np.concatenate(above).mean() < 0.5)
        sums = [voxels.sums(half) for half in sides[smaller]]
        rest = [whole - part for whole, part in zip(node.sums, sums, strict=True)]
        ordered = (rest, sums) if smaller else (sums, rest)
        return [self._node(*side) for side in zip(sides, ordered, strict=True)]

    def _node(self, halves: "Halves", sums: list["Sums"]) -> "Node":
        """Fit the map of a node on one half, and measure its error on the other."""
        grow, validate = sums
        penalties = self.penalties or [evidence(grow)[0]]
        trials = [(validate.errors(grow.solve(penalty)), penalty) for penalty in penalties]
        return Node(halves, sums, *min(trials, key=lambda trial: trial[0].sum()))

    def _leaf(self, node: "Node") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Map of a leaf on all its voxels, variances of its residuals, covariance of the map."""
        grow, validate = node.sums
        both = grow + validate
        if self.penalties:
            penalty, variances = node.penalty, node.error / validate.voxels
            covariance = np.zeros((0, 0))
        else:
            penalty, variances = evidence(both)
            covariance = np.linalg.inv(both.penalised(penalty))
        found = both.solve(penalty), variances, covariance
        return tuple(values.astype(np.float32) for values in found)

    def _predict_voxels(self, voxels: "Voxels") -> np.ndarray:
        """Means of the trees by their precisions, (n, r^3 c), normalised."""
        predicted = np.empty((len(voxels.rows), self.maps.shape[-1]), dtype=np.float32)
        for chosen in chunks(np.arange(len(voxels.rows))):
            x, energies = voxels.inputs(chosen), voxels.energies[chosen]
            total = precisions = np.zeros((len(x), self.maps.shape[-1]), dtype=np.float32)
            for tree in range(len(self.leaves)):
                values, variances = self._predict_tree(x, self._leaves_of(tree, energies))
                total, precisions = total + values / variances, precisions + 1 / variances
            predicted[chosen] = total / precisions
        return predicted

    def _predict_tree(self, x: np.ndarray, leaves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predictions of one tree and their variances, (n, r^3 c) each."""
        values = np.empty((len(x), self.maps.shape[-1]), dtype=np.float32)
        variances = self.variances[leaves]
        for leaf in np.unique(leaves):
            here = leaves == leaf
            values[here] = x[here] @ self.maps[leaf]
            if self.covariances.size:
                distance = ((x[here] @ self.covariances[leaf]) * x[here]).sum(axis=1)
                variances[here] *= 1 + distance[:, None]
        return values, variances

    def _leaves_of(self, tree: int, energies: np.ndarray) -> np.ndarray:
        """Leaf of each voxel (n,) from its energies (n, features)."""
        place = np.zeros(len(energies), dtype=int)
        for _ in range(self.depth):
            feature = self.features[tree, place]
            above = energies[np.arange(len(place)), feature] > self.thresholds[tree, place]
            place = np.where(feature >= 0, 2 * place + 1 + above, place)
        return self.leaves[tree, place]


class Halves(NamedTuple):
    """Indices of a node's voxels, of those that grow the tree and those that validate it."""

    grow: np.ndarray
    validate: np.ndarray


class Node(NamedTuple):
    """A node of a growing tree: its voxels, and how well a linear map does on them.

    Parameters
    ----------
    halves : Halves
    sums : list of Sums
        Over each half.
    error : ndarray, shape (outputs,)
        Squared residuals, summed over the half that validates.
    penalty : float
        Of the map, per voxel.
    """

    halves: Halves
    sums: list["Sums"]
    error: np.ndarray
    penalty: float


@dataclass
class Sums:
    """Sums over voxels of which every linear map, and its error, can be computed.

    Parameters
    ----------
    gram : ndarray, shape (inputs, inputs)
        Products of the inputs; the last one is 1, for the bias.
    cross : ndarray, shape (inputs, outputs)
        Products of inputs and outputs.
    square : ndarray, shape (outputs,)
        Squared outputs.
    """

    gram: np.ndarray
    cross: np.ndarray
    square: np.ndarray

    @property
    def voxels(self) -> float:
        """Number of voxels."""
        return self.gram[-1, -1]

    def __add__(self, other: Self) -> Self:
        return Sums(self.gram + other.gram, self.cross + other.cross, self.square + other.square)

    def __sub__(self, other: Self) -> Self:
        return Sums(self.gram - other.gram, self.cross - other.cross, self.square - other.square)

    def penalised(self, penalty: float) -> np.ndarray:
        """The gram matrix with a ridge penalty per voxel on all inputs but the bias."""
        penalised = np.append(np.ones(len(self.gram) - 1), 0)
        return self.gram + np.diag(penalty * self.voxels * penalised)

    def solve(self, penalty: float) -> np.ndarray:
        """Ridge regression, (inputs, outputs)."""
        return np.linalg.solve(self.penalised(penalty), self.cross)

    def errors(self, map_: np.ndarray) -> np.ndarray:
        """Squared residuals of a map, summed over the voxels, (outputs,)."""
        residual = self.square + (map_ * (self.gram @ map_ - 2 * self.cross)).sum(axis=0)
        return np.maximum(residual, FLOOR * self.voxels)


def evidence(sums: Sums) -> tuple[float, np.ndarray]:
    """Penalty and noise of a Bayesian linear map at the maximum of the evidence.

    The weights of an output have a prior variance that is its noise variance over a penalty that
    all outputs share; so one covariance serves all (with one output, the ratio of alpha to beta).
    The bias has a flat prior. The fixed point is that of Gull and MacKay: the penalty is what the
    weights say of their prior, and the noise what the residuals leave, after the number of weights
    that the data determine.

    Returns
    -------
    float
        Ridge penalty per voxel.
    ndarray, shape (outputs,)
        Variance of the noise, 1 / beta.
    """
    n, mean_x, mean_y = sums.voxels, sums.gram[-1, :-1], sums.cross[-1]
    values, vectors = np.linalg.eigh(sums.gram[:-1, :-1] - np.outer(mean_x, mean_x) / n)
    values = np.maximum(values, 0)[:, None]
    cross = vectors.T @ (sums.cross[:-1] - np.outer(mean_x, mean_y) / n)
    square = sums.square - mean_y**2 / n
    penalty, last = n * 1e-2, 0.0
    for _ in range(ROUNDS):
        weights = cross / (values + penalty)
        determined = (values / (values + penalty)).sum()
        residual = square + (weights * (values * weights - 2 * cross)).sum(axis=0)
        noise = np.maximum(residual, FLOOR * n) / (n - 1 - determined)
        if abs(penalty - last) <= 1e-3 * penalty:
            break
        size = ((weights**2).sum(axis=0) / noise).sum()
        last, penalty = penalty, max(noise.size * determined / size, WEAKEST * n)
    return penalty / n, noise


@dataclass
class Voxels:
    """Voxels of some images, and what maps and splits read of them.

    Parameters
    ----------
    images : ndarray of float32, shape (v, c)
        All voxels of all images, normalised, with a border of one voxel.
    neighbours : ndarray of int, shape (27,)
        Where the 3^3 neighbours of a voxel are in `images`, from itself.
    rows : ndarray of int, shape (n,)
        Where the chosen voxels are in `images`.
    energies : ndarray of float32, shape (n, features)
        What splits read.
    outputs : ndarray of float32, shape (n, r^3 c)
        Normalised split voxels of the target, if known.
    """

    images: np.ndarray
    neighbours: np.ndarray
    rows: np.ndarray
    energies: np.ndarray
    outputs: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        images: list[np.ndarray],
        chosen: list[np.ndarray],
        statistics: Statistics,
        outputs: np.ndarray | None = None,
    ) -> Self:
        """Take the chosen voxels (x, y, z) of raw images (x, y, z, c)."""
        # The outermost voxels are repeated, as the networks see them.
        border = [(1, 1)] * 3 + [(0, 0)]
        padded = [np.pad(normalise(image, statistics), border, mode="edge") for image in images]
        stacked = stack_padded(padded, "cpu").numpy()
        inside = stack_padded([np.pad(here, 1)[..., None] for here in chosen], "cpu").numpy()
        near = np.ravel_multi_index(np.indices((1, 3, 3, 3)).reshape(4, -1), stacked.shape[:4])
        energies = [energy(image)[here] for image, here in zip(images, chosen, strict=True)]
        return cls(
            images=stacked.reshape(-1, stacked.shape[-1]),
            neighbours=near - near[13],
            rows=np.flatnonzero(inside),
            energies=np.concatenate(energies),
            outputs=outputs,
        )

    def inputs(self, chosen: np.ndarray) -> np.ndarray:
        """Neighbourhoods and a 1 for the bias, (n, 27 c + 1) of float32."""
        near = self.images[self.rows[chosen, None] + self.neighbours].reshape(len(chosen), -1)
        return np.append(near, np.ones((len(near), 1), dtype=np.float32), axis=1)

    def sums(self, chosen: np.ndarray) -> Sums:
        """Sums over the chosen voxels."""
        inputs, outputs = 27 * self.images.shape[1] + 1, self.outputs.shape[1]
        gram, cross = np.zeros((inputs, inputs)), np.zeros((inputs, outputs))
        square = np.zeros(outputs)
        for some in chunks(chosen):
            x, y = self.inputs(some).astype(float), self.outputs[some].astype(float)
            gram += x.T @ x
            cross += x.T @ y
            square += (y**2).sum(axis=0)
        return Sums(gram, cross, square)

    def regressors(self, chosen: np.ndarray) -> np.ndarray:
        """What stands for inputs and outputs in the search for splits, (n, 1 + 2 c + c) of float32.

        A 1, the voxel, the mean of its neighbourhood, and the mean of its outputs.
        """
        c = self.images.shape[1]
        parts = []
        for some in chunks(chosen):
            centre = self.images[self.rows[some]]
            mean = self.inputs(some)[:, :-1].reshape(len(some), 27, c).mean(axis=1)
            output = self.outputs[some].reshape(len(some), -1, c).mean(axis=1)
            one = np.ones((len(some), 1), dtype=np.float32)
            parts.append(np.concatenate([one, centre, mean, output], axis=1))
        return np.concatenate(parts)


def read_voxels(fold: Fold, target: str, r: int) -> Voxels:
    """Read the training voxels of a fold: those whose split voxels all lie in the target's mask.

    Like all that learns from patches, it leaves out voxels of cores that do not count.
    """
    images, chosen, outputs = [], [], []
    for subject in fold.subjects("train"):
        inside = parts_to_channels(fold.mask(subject, target)[..., None] > 0, r).all(axis=-1)
        inside &= fold.lattice.voxels(fold.patches(subject), inside.shape)
        measured = normalise(fold.image(subject, target), fold.normalisation[target])
        images.append(fold.image(subject, fold.source))
        chosen.append(inside)
        outputs.append(parts_to_channels(measured, r)[inside].astype(np.float32))
    statistics = fold.normalisation[fold.source]
    return Voxels.of(images, chosen, statistics, np.concatenate(outputs))


def energy(image: np.ndarray) -> np.ndarray:
    """Mean energy of each order, at each voxel and over cubes around it.

    Parameters
    ----------
    image : ndarray, shape (x, y, z, c)
        Raw, so that energies do not change when the head turns.

    Returns
    -------
    ndarray of float32, shape (x, y, z, orders (1 + 2))
    """
    own = mean_by_order(image.astype(np.float32) ** 2)
    around = [uniform_filter(own, (size, size, size, 1), mode="nearest") for size in SIZES]
    return np.concatenate([own, *around], axis=-1)


def best_split(
    energies: np.ndarray, regressors: np.ndarray, grown: np.ndarray, halves: Halves
) -> tuple[int, np.float32] | None:
    """Feature and threshold of the split of a node with the largest gain of information.

    Parameters
    ----------
    energies : ndarray, shape (n, features)
        Of all voxels.
    regressors : ndarray, shape (m, 1 + 3 c)
        See `Voxels.regressors`.
    grown : ndarray of int, shape (m,)
        Voxels that `regressors` describes, in ascending order.
    halves : Halves
        Voxels of the node.

    Returns
    -------
    tuple or None
        None if each split leaves a side fewer voxels, of either half, than a map has inputs.
    """
    inputs = 9 * (regressors.shape[1] - 1) + 1  # 27 c + 1
    joint = regressors[np.searchsorted(grown, halves.grow)].astype(float)
    best, found = np.inf, None
    for feature in range(energies.shape[1]):
        grow, validate = (energies[half, feature] for half in halves)
        thresholds = np.unique(np.quantile(grow, LEVELS).astype(np.float32))
        # Sums over the voxels between neighbouring thresholds give those on both sides of each.
        bins = np.searchsorted(thresholds, grow)
        between = [joint[bins == k] for k in range(len(thresholds) + 1)]
        below = np.cumsum([rows.T @ rows for rows in between], axis=0)
        sides = np.stack([below[:-1], below[-1] - below[:-1]])
        validating = np.searchsorted(np.sort(validate), thresholds, side="right")
        fewest = np.minimum(
            sides[..., 0, 0].min(axis=0), np.minimum(validating, len(validate) - validating)
        )
        lengths = np.where(fewest >= inputs, description_length(sides).sum(axis=0), np.inf)
        if lengths.min() < best:
            best = lengths.min()
            found = feature, thresholds[lengths.argmin()]
    return found


def description_length(joint: np.ndarray) -> np.ndarray:
    """Voxels times the log determinant of the residuals' covariance, after a linear regression.

    Parameters
    ----------
    joint : ndarray, shape (..., 1 + 3 c, 1 + 3 c)
        Products of the regressors, of which the last c are regressed on the others.

    Returns
    -------
    ndarray, shape (...)
    """
    c, n = (joint.shape[-1] - 1) // 3, joint[..., 0, 0]
    steady = joint + WEAKEST * n[..., None, None] * np.eye(joint.shape[-1])
    # The residuals' covariance is a Schur complement, whose determinant is a ratio.
    both, alone = (np.linalg.slogdet(m)[1] for m in (steady, steady[..., :-c, :-c]))
    return n * (both - alone - c * np.log(np.maximum(n, 1)))


def chunks(indices: np.ndarray) -> Iterator[np.ndarray]:
    """Yield some indices at a time."""
    for start in range(0, len(indices), CHUNK):
        yield indices[start : start + CHUNK]
