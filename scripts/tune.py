"""Try six settings of a method's training on the validation subject of one fold.

Every method gets the same six: its learning rates times 1/3, 1 and 3, each with and without decay
of the weights. The best of them is then trained for twice the steps. A training that diverges has
no error, and the others go on.
"""

import argparse
import dataclasses
import itertools
import json
import time
from pathlib import Path
from typing import Any

from harmonization.files import InputError, run_command, tell, write_json
from harmonization.learning.devices import choose_device
from harmonization.learning.fitting import Fit, fit_model
from harmonization.learning.models import Card
from harmonization.learning.sizing import lengthened
from harmonization.learning.training import DivergedError
from harmonization.seeds import seed_of

RATES = (1 / 3, 1.0, 3.0)
DECAYS = (0.0, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", required=True, help="name")
    parser.add_argument("--settings", type=json.loads, required=True, help="of the method")
    parser.add_argument("--manifest", type=Path, required=True, help="of the tuning cohort")
    parser.add_argument("--target", required=True, help="a platform, or 'all'")
    parser.add_argument("--components", type=Path, nargs="*", default=[], help="fitted models")
    parser.add_argument(
        "--matches", type=Path, nargs="*", default=[], help="fitted models to be equal to"
    )
    parser.add_argument(
        "--seeded-as", required=True, help="method whose random numbers this one draws"
    )
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--gpus", type=int, default=0, help="0 computes on the CPU")
    parser.add_argument("--output", type=Path, required=True, help="what was tried")
    args = parser.parse_args()

    device = choose_device(args.gpus)
    # The same random numbers for all, so that they differ in their settings alone.
    seed = seed_of(args.seeded_as, args.target, 0, 0)
    common = (args.method, args.target, 0, 0, seed)
    wanted = Fit(*common, args.settings, args.components, args.matches, args.precision)

    def fitted(settings: dict[str, Any], label: str) -> Card | None:
        changed = dataclasses.replace(wanted, settings=settings)

        def report(line: str) -> None:
            tell(f"{args.method} {args.target} {label}: {line}")

        try:
            _, card, _ = fit_model(changed, args.manifest, device, report)
        except DivergedError as error:
            report(f"diverged ({error})")
            return None
        return card

    started = time.process_time()
    tried, cards = [], []
    for rate, decay in itertools.product(RATES, DECAYS):
        training = varied(args.settings["training"], rate, decay)
        card = fitted(args.settings | {"training": training}, f"{rate:.2g} {decay:.2g}")
        error = error_of(card)
        tried.append({"rate": round(rate, 3), "weight_decay": decay, "validation_mse": error})
        cards += [card] if card else []
    if not cards:
        raise InputError(f"{args.method}: all six trainings diverged; lower its learning rates")
    best = min(cards, key=error_of)
    # The steps of a training that was made equal to another are doubled after that.
    longer = {"training": lengthened(best.settings["training"], 2)}
    longer |= {"matches": None} if args.settings["matches"] == "steps" else {}
    doubled = error_of(fitted(args.settings | longer, "twice the steps"))
    outcome = {
        "target": args.target,
        "tried": tried,
        "doubling": None if doubled is None else doubled / error_of(best) - 1,
        "cpu_seconds": round(time.process_time() - started),
    }
    write_json(args.output, outcome)
    for row in tried:
        error = row["validation_mse"]
        shown = "diverged" if error is None else f"{error:.4f}"
        tell(f"{row['rate']:5.2f} x rate, decay {row['weight_decay']}: {shown}")
    doubling = outcome["doubling"]
    tell(f"twice the steps: {'diverged' if doubling is None else f'{doubling:+.1%}'}")


def error_of(card: Card | None) -> float | None:
    """Error of a model on validation; None if its training diverged."""
    return card.outcome["validation_mse"] if card else None


def varied(training: dict[str, Any], rate: float, decay: float) -> dict[str, Any]:
    """A training with all learning rates times `rate`, and with this decay of the weights."""
    phases = [
        {**phase, "learning_rate": rate * phase["learning_rate"]} for phase in training["phases"]
    ]
    return {**training, "phases": phases, "weight_decay": decay}


if __name__ == "__main__":
    run_command(main)
