"""Draw all platforms of one person side by side."""

import argparse
from pathlib import Path

from harmonization.figures import draw_platforms, save_figure
from harmonization.files import run_command
from harmonization.images import read_image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--platforms", nargs="+", required=True)
    parser.add_argument("--dwi", type=Path, nargs="+", required=True, help="one a platform")
    parser.add_argument("--sh", type=Path, nargs="+", required=True, help="one a platform")
    parser.add_argument("--subject", required=True)
    parser.add_argument("--output", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    columns = {
        platform: (read_image(dwi)[0][..., 0], read_image(sh)[0])
        for platform, dwi, sh in zip(args.platforms, args.dwi, args.sh, strict=True)
    }
    save_figure(draw_platforms(columns, args.subject), args.output)


if __name__ == "__main__":
    run_command(main)
