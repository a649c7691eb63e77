"""Write the description of the BIDS data set that the cross-scanner database is imported into."""

import argparse
from pathlib import Path

from harmonization.bids import write_dataset_description
from harmonization.files import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="dataset_description.json")
    args = parser.parse_args()
    write_dataset_description(
        args.output.parent,
        "Cross-scanner diffusion MRI database (Tax 2019), imported",
        {
            "Name": "msp-harmonization",
            "Description": "Renamed; volumes of other echo or repetition times were dropped",
        },
    )


if __name__ == "__main__":
    run_command(main)
