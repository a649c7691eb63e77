"""Download the files of one scan from OpenNeuro, and check them against the version's checksums."""

import argparse
from pathlib import Path

from harmonization.data.openneuro import download
from harmonization.files import run_command, tell


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paths", nargs="+", required=True, help="paths within the data set")
    parser.add_argument("--root", type=Path, required=True, help="folder for the data set")
    parser.add_argument("--mirror", required=True, help="URL of the version, with links")
    parser.add_argument("--bucket", required=True, help="URL of the data set, with contents")
    args = parser.parse_args()
    download(args.paths, args.root, args.mirror, args.bucket, tell)


if __name__ == "__main__":
    run_command(main)
