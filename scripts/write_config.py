"""Write the merged configuration of a run, and the settings of its methods, beside the results."""

import argparse
import json
from pathlib import Path

import yaml

from harmonization.files import run_command, write_text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=json.loads, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    write_text(args.output, yaml.safe_dump(args.config, sort_keys=False))


if __name__ == "__main__":
    run_command(main)
