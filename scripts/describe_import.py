"""Write the description of a BIDS data set of imported scans."""

import argparse
from pathlib import Path

from harmonization.data.bids import write_dataset_description
from harmonization.files import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="name of the data set")
    parser.add_argument("--changes", required=True, help="what the import does to the data")
    parser.add_argument("--output", type=Path, required=True, help="dataset_description.json")
    args = parser.parse_args()
    write_dataset_description(
        args.output.parent, args.name, {"Name": "msp-harmonization", "Description": args.changes}
    )


if __name__ == "__main__":
    run_command(main)
