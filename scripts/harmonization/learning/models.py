"""Fitted models: the contract of every method that learns, and models on disk.

*Fit* takes a fold and the fitted models that a method builds on; *apply* takes one source image.
Networks and classical rivals do both, so the commands `fit` and `predict` serve either.
"""

import importlib
import importlib.metadata
import platform
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from harmonization.files import InputError, read_json, whole_file, write_json
from harmonization.images.coefficients import denormalise, normalise
from harmonization.images.grids import split_mask
from harmonization.learning.checkpoints import Checkpoints
from harmonization.learning.devices import choose_precision
from harmonization.learning.lattice import Lattice, pad_source
from harmonization.learning.layers import count_parameters
from harmonization.learning.manifest import Fold
from harmonization.learning.network import Network, Task
from harmonization.learning.patches import BATCH, gather, read_part
from harmonization.learning.sizing import path_parameters, training_multiply_adds
from harmonization.learning.template import Template
from harmonization.learning.training import Progress, dead_units, train, validate
from harmonization.plan.plugins import class_name, module_of

WEIGHTS, CARD, HISTORY = "weights.safetensors", "card.json", "history.csv"
MANY_DEAD = 0.1  # share of a layer's units from which a training says that they are dead


@dataclass(frozen=True)
class Specification:
    """What a model is made of: enough to build it again, except for its weights.

    Parameters
    ----------
    wing, plugin : str
        Wing and file that hold its class, such as ``networks`` and ``espcn``.
    settings : dict
        Settings of the class.
    task : Task
    components : dict of str to Specification
        Models that it builds on, by name.
    """

    wing: str
    plugin: str
    settings: dict[str, Any]
    task: Task
    components: dict[str, "Specification"] = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Undo `dataclasses.asdict`."""
        components = {n: cls.from_json(c) for n, c in content["components"].items()}
        return cls(**{**content, "task": Task(**content["task"]), "components": components})


@dataclass(frozen=True)
class Card:
    """Everything needed to apply a model, and how the model was made.

    Parameters
    ----------
    method, target : str
        The target is ``all`` for a model of all targets.
    fold, seed : int
    specification : Specification
    settings : dict
        Settings of the fit: ``training`` and ``solve``.
    parameters : int
        Number of fitted values.
    path_parameters : int
        Those on the path to the prediction, summed over the targets.
    trainings : dict of str to int
        Multiplications with an addition in its own training, and in each training that it inherits
        from, by the names of their models.
    outcome : dict
        What the fit reports: the error on validation, the chosen penalty, ...
    source : str
        Platform of the input.
    input : dict
        What a scan must be like: ``voxel_size`` (mm) and ``axes`` as in `grids.layout`, and whether
        it is ``denoised``, or even ``noise_free``, as only a phantom's is.
    lattice : dict
        Lattice of the patches.
    spherical_harmonics : dict
        How the source's images were made; ``target_shells`` in which the targets' differ (s/mm²).
    normalisation : dict
        ``input``: mean and standard deviation of the source's coefficients; ``outputs``: by target.
    manifest_sha256 : str
        Hash of the fold's manifest.
    versions : dict
        Versions of Python and of the packages that the numbers depend on.
    """

    method: str
    target: str
    fold: int
    seed: int
    specification: Specification
    settings: dict[str, Any]
    parameters: int
    path_parameters: int
    trainings: dict[str, int]
    outcome: dict[str, Any]
    source: str
    input: dict[str, Any]
    lattice: dict[str, Any]
    spherical_harmonics: dict[str, Any]
    normalisation: dict[str, Any]
    manifest_sha256: str
    versions: dict[str, str]

    @property
    def name(self) -> str:
        """Name of the model among the components of another."""
        return name_of(self.method, self.target, self.seed)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the card of a model.

        Raises
        ------
        InputError
            If this version of the code did not write the card.
        """
        path = folder / CARD
        content = read_json(path)
        try:
            specification = Specification.from_json(content["specification"])
            return cls(**{**content, "specification": specification})
        except (KeyError, TypeError) as error:
            raise InputError(
                f"{path}: is no card of this version ({error}); fit this model again"
            ) from None


def name_of(method: str, target: str, seed: int) -> str:
    """Name of a model among those of its fold."""
    return f"{method}-{target}-{seed}"


@dataclass(frozen=True)
class FitSettings:
    """How to fit a model.

    Parameters
    ----------
    training, solve : dict or None
        A network's settings of gradient descent, or of a fit in closed form.
    precision : {'float32', 'bfloat16'}
        Precision of training.
    report : callable
        Receives a line about each validation.
    checkpoints : Checkpoints, optional
        Where a training goes on if it was stopped.
    template : Template, optional
        A common space, for a method that needs one.
    """

    training: dict[str, Any] | None = None
    solve: dict[str, Any] | None = None
    precision: str = "float32"
    report: Callable[[str], None] = print
    checkpoints: Checkpoints | None = None
    template: Template | None = None


@dataclass(frozen=True)
class Outcome:
    """What a fit reports for the card, and the history of a training."""

    card: dict[str, Any] = field(default_factory=dict)
    history: list[Progress] = field(default_factory=list)


class Model(ABC):
    """A method's model: fitted to a fold, applied to images.

    Parameters
    ----------
    task : Task
    components : dict of str to Model, optional
        Models that it builds on, by name. Settings follow as keyword-only arguments.
    """

    keeps_units = False  # True if the output is in the units of the source
    inherits = True  # False if it takes nothing but their architecture from its components
    needs_fit = False  # True if settings that name no fit leave its values random

    def __init__(self, task: Task, components: dict[str, "Model"] | None = None) -> None:
        self.task = task
        self.components = components or {}

    def initialise_from(self, components: dict[str, "Model"]) -> None:
        """Start from fitted models."""
        self.components = components

    @abstractmethod
    def fit(self, fold: Fold, settings: FitSettings) -> Outcome:
        """Learn from the training subjects, and select on the validation subjects."""

    @abstractmethod
    def apply(self, source: np.ndarray, mask: np.ndarray, card: Card, target: str) -> np.ndarray:
        """Predict the image of one target from a whole source image.

        Parameters
        ----------
        source : ndarray, shape (x, y, z, c)
            Raw coefficients.
        mask : ndarray, shape (x, y, z)
            Brain of the source.
        card : Card
        target : str
            One of the targets that the model predicts.

        Returns
        -------
        ndarray, shape (x r, y r, z r, c)
            Raw coefficients as float32; 0 outside the mask.
        """

    @abstractmethod
    def arrays(self) -> dict[str, Tensor]:
        """Fitted values, by name."""

    @abstractmethod
    def restore(self, arrays: dict[str, Tensor]) -> None:
        """Restore the values from `arrays`; KeyError or RuntimeError if they do not fit."""

    def count_parameters(self) -> int:
        """Number of fitted values."""
        return sum(values.numel() for values in self.arrays().values())

    def count_path_parameters(self) -> int:
        """Number of fitted values on the path to the prediction, summed over the targets."""
        return self.count_parameters()

    def count_multiply_adds(self, training: dict[str, Any] | None, window: int) -> int:  # noqa: ARG002
        """Multiplications with an addition in a training; 0 for any other fit."""
        return 0

    def select_error(self, fold: Fold) -> float:  # noqa: ARG002
        """Error on the subjects of the fold on which methods select."""
        raise TypeError(f"{type(self).__name__} cannot be chosen among others")


class NetworkModel(Model):
    """A network as a model: trained on patches, applied core by core."""

    def __init__(self, network: Network, device: str = "cpu") -> None:
        super().__init__(network.task)
        # Channels come last in memory, as `gather` delivers them.
        self.network = network.to(device).to(memory_format=torch.channels_last_3d).eval()
        self.device = device

    @property
    def keeps_units(self) -> bool:
        return self.network.keeps_units

    @property
    def inherits(self) -> bool:
        return self.network.inherits

    @property
    def needs_fit(self) -> bool:
        return self.network.needs_fit

    def initialise_from(self, components: dict[str, Model]) -> None:
        self.network.initialise_from({name: model.network for name, model in components.items()})

    def fit(self, fold: Fold, settings: FitSettings) -> Outcome:
        targets, units = list(self.task.scales), fold.normalisation
        self.network.know_units(units[fold.source], {t: units[t] for t in targets})
        if settings.training is None and settings.solve is None:
            return Outcome()
        training, validation = (
            read_part(fold, part, targets, self.device) for part in ("train", "validation")
        )
        if settings.solve is not None:
            return Outcome(self.network.solve(training, validation, **settings.solve))
        precision = choose_precision(settings.precision, self.device)
        result = train(
            self.network,
            training,
            validation,
            settings.training,
            self.task.seed,
            precision,
            settings.report,
            settings.checkpoints,
        )
        dead = dead_units(self.network, validation)
        for layer, share in dead.items():
            if share >= MANY_DEAD:
                settings.report(
                    f"{share:.0%} of the units of {layer} are dead: a lower rate, a longer warm-up"
                    " or another weight decay may do better"
                )
        return Outcome(
            {
                "precision": str(precision).removeprefix("torch."),
                "best_step": result.best.step,
                "validation_mse": result.best.validation_mse,
                "dead_units": dead,
                **result.weighting,
                **self.network.report(validation),
            },
            result.history,
        )

    @torch.no_grad()
    def apply(self, source: np.ndarray, mask: np.ndarray, card: Card, target: str) -> np.ndarray:
        lattice, r = Lattice(**card.lattice), self.task.scales[target]
        padded = pad_source(normalise(source, card.normalisation["input"]), lattice)
        volumes = torch.from_numpy(padded).to(self.device)[None]
        cores = np.argwhere(lattice.touched(mask))
        patches = torch.from_numpy(np.insert(cores, 0, 0, axis=1)).to(self.device)
        edge = lattice.core * r
        shape = [n * edge for n in lattice.shape(source.shape)]
        image = np.zeros((*shape, source.shape[-1]), dtype=np.float32)
        for some in patches.split(BATCH):
            windows = gather(volumes, some, lattice.core, lattice.window)
            prediction = self.network.predict(windows, target).cpu().numpy()
            for core, values in zip(some[:, 1:] * edge, prediction, strict=True):
                x, y, z = core.tolist()
                image[x : x + edge, y : y + edge, z : z + edge] = values.transpose(1, 2, 3, 0)
        brain = split_mask(mask, r)
        x, y, z = brain.shape
        raw = denormalise(image[:x, :y, :z], card.normalisation["outputs"][target])
        return np.where(brain[..., None], raw, np.float32(0))

    def arrays(self) -> dict[str, Tensor]:
        return {name: v.contiguous().cpu() for name, v in self.network.state_dict().items()}

    def restore(self, arrays: dict[str, Tensor]) -> None:
        self.network.load_state_dict(arrays)
        self.network.eval()

    def count_parameters(self) -> int:
        return count_parameters(self.network)

    def count_path_parameters(self) -> int:
        return path_parameters(self.network)

    def count_multiply_adds(self, training: dict[str, Any] | None, window: int) -> int:
        return training_multiply_adds(self.network, training, window) if training else 0

    def select_error(self, fold: Fold) -> float:
        return validate(
            self.network, read_part(fold, "validation", [*self.task.scales], self.device)
        )


def build(specification: Specification, device: str = "cpu") -> Model:
    """Build an unfitted model and its components.

    The class is found by the name of its file, so there is no list of networks.
    """
    module = importlib.import_module(module_of(specification.wing, specification.plugin))
    plugin = getattr(module, class_name(specification.plugin))
    components = {name: build(c, device) for name, c in specification.components.items()}
    if not issubclass(plugin, Network):
        return plugin(specification.task, components, **specification.settings)
    networks = {name: model.network for name, model in components.items()}
    return NetworkModel(plugin(specification.task, networks, **specification.settings), device)


def save_model(folder: Path, model: Model, card: Card) -> None:
    """Write the weights and the card of a model."""
    with whole_file(folder / WEIGHTS) as temporary:
        # save_file() reports a full disk as an error of its own.
        temporary.write_bytes(save(model.arrays()))
    write_json(folder / CARD, asdict(card))


def load_model(folder: Path, device: str = "cpu") -> tuple[Model, Card]:
    """Read a fitted model.

    Raises
    ------
    InputError
        If the weights are damaged or do not fit the card, or the card is of another version.
    """
    card = Card.read(folder)
    try:
        model = build(card.specification, device)
    except (ImportError, TypeError) as error:
        raise InputError(
            f"{folder / CARD}: is no card of this version ({error}); fit this model again"
        ) from None
    path = folder / WEIGHTS
    try:
        model.restore(load_file(path))
    except (SafetensorError, RuntimeError, KeyError) as error:
        raise InputError(f"{path}: does not fit its card ({error}); fit this model again") from None
    return model, card


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a model's numbers depend on."""
    packages = ("torch", "numpy", "dipy", "nibabel")
    return {"python": platform.python_version()} | {
        p: importlib.metadata.version(p) for p in packages
    }
