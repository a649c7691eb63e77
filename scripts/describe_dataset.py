"""Write the files that describe the phantom's BIDS data set: name, subjects and labels."""

import argparse
from pathlib import Path

from harmonization.data.bids import write_dataset_description, write_table
from harmonization.files import run_command
from harmonization.phantom.atlas import TISSUES, region_names
from harmonization.plan.phantom import read_parameters


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parameters", type=Path, required=True, help="phantom parameter file")
    parser.add_argument("--seed", type=int, required=True, help="seed of the phantom")
    parser.add_argument("--subjects", nargs="+", required=True)
    parser.add_argument("--description", type=Path, required=True, help="output file, as all below")
    for output in ("participants", "tissues", "regions"):
        parser.add_argument(f"--{output}", type=Path, required=True)
    args = parser.parse_args()

    parameters = read_parameters(args.parameters)
    write_dataset_description(
        args.description.parent,
        "Digital travelling heads (simulated, not the cross-scanner database)",
        {
            "Name": "msp-harmonization",
            "Description": f"MNI152 tissue maps, simulated diffusion MRI, seed {args.seed}",
        },
    )
    with_lesion = parameters["lesion"]["subjects"]
    write_table(
        args.participants,
        participant_id=[f"sub-{subject}" for subject in args.subjects],
        lesion=["yes" if subject in with_lesion else "no" for subject in args.subjects],
    )
    regions = region_names(parameters["bundles"])
    for path, names in ((args.tissues, [*TISSUES, "lesion"]), (args.regions, [*regions, "lesion"])):
        write_table(path, index=[str(i + 1) for i in range(len(names))], name=names)


if __name__ == "__main__":
    run_command(main)
