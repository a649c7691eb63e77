"""Write the description of the phantom's BIDS data set."""

import argparse
from pathlib import Path

from harmonization.bids import write_dataset_description
from harmonization.files import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True, help="of the phantom")
    parser.add_argument("--output", type=Path, required=True, help="dataset_description.json")
    args = parser.parse_args()
    write_dataset_description(
        args.output.parent,
        "Digital travelling heads (simulated, not the cross-scanner database)",
        {
            "Name": "msp-harmonization",
            "Description": f"MNI152 tissue maps, simulated diffusion MRI, seed {args.seed}",
        },
    )


if __name__ == "__main__":
    run_command(main)
