"""Measure one simulated subject on all platforms to check that the phantom is plausible."""

import argparse
import json
import sys
from pathlib import Path

import pandas as pd
from dipy.data import get_fnames

from harmonization.data.bids import read_series
from harmonization.files import InputError, run_command, write_text
from harmonization.phantom.atlas import Atlas
from harmonization.phantom.checks import LIKE_REAL, check_person, equal_protocols, examine
from harmonization.phantom.effects import with_effects
from harmonization.phantom.figures import (
    draw_anisotropy,
    draw_checks,
    draw_detail,
    draw_fods,
    draw_scanners,
)
from harmonization.phantom.people import Person
from harmonization.plan.phantom import read_parameters
from harmonization.report.style import save_figure

PEOPLE = 10  # whose spread is measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parameters", type=Path, required=True, help="phantom parameter file")
    parser.add_argument("--atlas", type=Path, required=True, help="made by build_atlas")
    parser.add_argument("--seed", type=int, required=True, help="seed of the phantom")
    parser.add_argument("--subject", required=True)
    parser.add_argument("--source", required=True, help="source platform")
    parser.add_argument("--shell", type=int, required=True, metavar="B")
    parser.add_argument("--slab", type=float, nargs=2, metavar=("CENTRE", "THICKNESS"))
    parser.add_argument("--response", type=json.loads, required=True, help="JSON for deconvolution")
    parser.add_argument("--table", type=Path, required=True, help="CSV output, as all below")
    for figure in ("anisotropy", "detail", "fods", "scanners", "checks"):
        parser.add_argument(f"--{figure}", type=Path, required=True)
    args = parser.parse_args()

    parameters, atlas = read_parameters(args.parameters), Atlas.load(args.atlas)
    person = Person(atlas, parameters, args.seed, args.subject)
    if LIKE_REAL not in parameters["platforms"]:
        raise InputError(f"{args.parameters}: platforms: real scans are like {LIKE_REAL}; keep it")
    protocols = parameters["platforms"].items()
    measured = [name for name, protocol in protocols if args.shell in protocol["shells"]]
    scans = [examine(person, name, args.shell, args.slab) for name in measured]
    only_noise = Person(atlas, with_effects(parameters, ["noise"]), args.seed, args.subject)
    equal = equal_protocols(parameters, args.source)
    without = [
        examine(only_noise, name, args.shell, args.slab) for name in measured if name in equal
    ]

    names = [f"{number:02d}" for number in range(1, PEOPLE + 1)]
    people = [
        examine(Person(atlas, parameters, args.seed, name), args.source, args.shell, args.slab)
        for name in names
    ]

    checks = check_person(person, scans, without, people, args.response, args.slab)
    table = pd.DataFrame([{**vars(check), "passed": check.passed} for check in checks])
    print(table.to_string(index=False, float_format="%.3g"), file=sys.stderr)
    source = next(scan for scan in scans if scan.platform == args.source)
    save_figure(draw_anisotropy(scans, args.subject), [args.anisotropy])
    # A crop of a real scan that comes with dipy.
    real, _, *gradients = read_series(*get_fnames(name="small_64D"))
    save_figure(draw_detail(person, (real, *gradients), args.slab), [args.detail])
    save_figure(draw_fods(person, source, args.response), [args.fods])
    save_figure(draw_scanners(person, scans), [args.scanners])
    save_figure(draw_checks(person, scans, checks, args.response), [args.checks])
    write_text(args.table, table.to_csv(index=False, lineterminator="\n", float_format="%.4g"))


if __name__ == "__main__":
    run_command(main)
