"""Fit one method to one fold: by gradient descent, in closed form, or not at all.

It reads only the training and validation files that the manifest names.
"""

import argparse
import dataclasses
import json
from pathlib import Path

from harmonization.files import run_command, tell, write_csv
from harmonization.learning.checkpoints import EVERY, Checkpoints
from harmonization.learning.devices import choose_device
from harmonization.learning.fitting import Fit, fit_model
from harmonization.learning.models import HISTORY, save_model
from harmonization.learning.training import Progress
from harmonization.seeds import seed_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", required=True, help="name")
    parser.add_argument("--settings", type=json.loads, required=True, help="of the method")
    parser.add_argument("--manifest", type=Path, required=True, help="of the fold")
    parser.add_argument("--target", required=True, help="a platform, or 'all'")
    parser.add_argument("--fold", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--components", type=Path, nargs="*", default=[], help="fitted models")
    parser.add_argument(
        "--matches", type=Path, nargs="*", default=[], help="fitted models to be equal to"
    )
    parser.add_argument(
        "--template",
        type=Path,
        nargs="*",
        default=[],
        help="of the fold, then the two warps of each subject in the order of the manifest",
    )
    parser.add_argument(
        "--precision",
        choices=["float32", "bfloat16"],
        default="float32",
        help="of training; bfloat16 only where the processor has it",
    )
    parser.add_argument("--gpus", type=int, default=0, help="0 computes on the CPU")
    parser.add_argument("--output", type=Path, required=True, help="folder of the model")
    parser.add_argument(
        "--checkpoints", type=Path, help="folder from which a stopped training goes on"
    )
    parser.add_argument(
        "--checkpoint-every", type=float, default=EVERY, metavar="SECONDS", help="0: every step"
    )
    parser.add_argument(
        "--seeded-as", required=True, help="method whose random numbers this one draws"
    )
    parser.add_argument("--version", default="", help="of the code, to which checkpoints belong")
    args = parser.parse_args()

    label = f"{args.method} {args.target} fold {args.fold} seed {args.seed}:"
    wanted = Fit(
        method=args.method,
        target=args.target,
        fold=args.fold,
        seed=args.seed,
        random_seed=seed_of(args.seeded_as, args.target, args.fold, args.seed),
        settings=args.settings,
        components=args.components,
        matches=args.matches,
        precision=args.precision,
        template=args.template,
    )

    def report(line: str) -> None:
        tell(f"{label} {line}")

    checkpoints = None
    if args.checkpoints:
        definition = {"code": args.version}
        checkpoints = Checkpoints(args.checkpoints, definition, args.checkpoint_every, report)
    device = choose_device(args.gpus)
    model, card, history = fit_model(wanted, args.manifest, device, report, checkpoints)
    write_history(args.output / HISTORY, history)
    save_model(args.output, model, card)


def write_history(path: Path, history: list[Progress]) -> None:
    """Write one row for each validation; none for a fit without steps."""
    names = [field.name for field in dataclasses.fields(Progress)]
    write_csv(path, [names, *(dataclasses.astuple(row) for row in history)])


if __name__ == "__main__":
    run_command(main)
