"""Make the table of patch MSE: a row for each method, a column for each target."""

import argparse
import json
from pathlib import Path

from harmonization.files import InputError, run_command, write_text
from harmonization.report.metrics import read_metrics, refuse_missing
from harmonization.report.tables import denoising_and_the_rest, latex, patch_mse_table, styled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument(
        "--methods", type=json.loads, required=True, help="JSON by method, in order: label, role"
    )
    parser.add_argument("--targets", nargs="+", required=True, help="in order")
    parser.add_argument("--subjects", nargs="+", required=True, help="all test subjects")
    parser.add_argument(
        "--task",
        nargs=2,
        metavar=("NOISY", "NOISE_FREE"),
        help="a method on the source as it is "
        "and without noise, which tell how much of the task is denoising",
    )
    for output in ("csv", "tex", "html"):
        parser.add_argument(f"--{output}", type=Path, required=True)
    args = parser.parse_args()

    metrics = read_metrics(args.metrics)
    measure = metrics[(metrics["metric"] == "patch_mse") & (metrics["region"] == "brain")]
    if measure.empty:
        raise InputError(f"{args.metrics}: no row with metric patch_mse and region brain")
    refuse_missing(measure, args.metrics, list(args.methods), args.targets, args.subjects)
    table = patch_mse_table(metrics, args.methods, args.targets)
    people = len(args.subjects)
    caption = (
        f"Patch MSE x 1000 (mean over n = {people} test subject{'s' if people > 1 else ''}"
        f"{', standard deviation between them' if people > 1 else ''}); lower is better, the best "
        "rivals in bold."
    )
    if "excess" in set(metrics["metric"]):
        caption += (
            " Excess is the same measure against what the noisy target is expected to be: 0 is the "
            "least that is possible."
        )
    if args.task:
        shares = denoising_and_the_rest(metrics, *args.task, args.targets)
        noisy, noise_free = (args.methods[name]["label"] for name in args.task)
        listed = ", ".join(f"{share:.0%} on {target}" for target, share in shares.items())
        caption += (
            f" Harmonisation (super-resolution included) is {listed} of the task and denoising the "
            f"rest: what remains of {noisy}'s error against the noise-free target in {noise_free}."
        )
    write_text(args.csv, table.to_csv(index=False, lineterminator="\n", float_format="%.9g"))
    style = styled(table, args.targets, caption)
    write_text(args.html, style.to_html(doctype_html=True))
    write_text(args.tex, latex(style))


if __name__ == "__main__":
    run_command(main)
