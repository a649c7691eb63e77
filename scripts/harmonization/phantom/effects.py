"""Scanner effects, and the parameter values that switch each of them off."""

import copy
from typing import Any

Settings = dict[str, Any]

EFFECTS = (
    "gradient_nonlinearity",
    "calibration",
    "echo_time",
    "point_spread",
    "receive_bias",
    "acceleration",
    "distortion",
    "pose",
    "noise",
)


def with_effects(parameters: Settings, effects: list[str]) -> Settings:
    """Parameters of a phantom whose scanners have only the given `effects`.

    The simulation has no switches: an effect that is off has the value at which it does nothing.
    Protocols keep their voxels, b-values and directions, which are not errors.

    Parameters
    ----------
    parameters : dict
        The phantom's parameters.
    effects : list of str
        Names from `EFFECTS`.
    """
    changed = copy.deepcopy(parameters)
    session = changed["session"]
    for effect in set(EFFECTS) - set(effects):
        match effect:
            case "gradient_nonlinearity":
                _set(changed["scanners"], b_deviation=0.0)
            case "calibration":
                _set(changed["scanners"], b_calibration=1.0)
                session["calibration"] = 0.0
            case "echo_time":
                _set(changed["platforms"], te=_longest_te(parameters))
            case "point_spread":
                _set(changed["platforms"], point_spread=1.0)
            case "receive_bias":
                _set(changed["scanners"], receive_bias=0.0)
            case "acceleration":
                _set(changed["platforms"], g_factor=1.0)
            case "distortion":
                _set(changed["platforms"], distortion=[0.0, 0.0])
            case "pose":
                session["rotation"] = session["translation"] = 0.0
            case "noise":
                _set(changed["platforms"], snr=float("inf"))
    return changed


def _set(sections: dict[str, Settings], **values: Any) -> None:
    for section in sections.values():
        section.update(values)


def _longest_te(parameters: Settings) -> float:
    return max(platform["te"] for platform in parameters["platforms"].values())
