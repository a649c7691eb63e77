"""Write the manifest of a fold."""

import argparse
import json
from pathlib import Path

from harmonization.files import InputError, read_json, run_command, write_json
from harmonization.learning.lattice import Lattice
from harmonization.learning.manifest import make_manifest
from harmonization.plan.paths import RunPaths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="folder of the run")
    parser.add_argument("--parts", type=json.loads, required=True, help="subjects of each part")
    parser.add_argument("--source", required=True)
    parser.add_argument("--reads", default="scan", help="variant of the source's scan")
    parser.add_argument("--denoised", action="store_true", help="these sources are denoised")
    parser.add_argument("--scales", type=json.loads, required=True, help="r of every target")
    parser.add_argument("--lattice", type=json.loads, required=True)
    parser.add_argument("--patches", type=int, help="of each training subject; all if not given")
    parser.add_argument("--draw", type=int, default=0, help="of these patches")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()

    paths = RunPaths(str(args.results))
    subjects = args.parts["train"] + args.parts["validation"]
    platforms = [args.source, *args.scales]

    def path(pattern: str, subject: str, platform: str) -> Path:
        scan = args.reads if platform == args.source else "scan"
        return Path(pattern.format(scan=scan, subject=subject, platform=platform))

    images = {
        s: {p: {"sh": path(paths.sh, s, p), "mask": path(paths.sh_mask, s, p)} for p in platforms}
        for s in subjects
    }
    conventions = [read_json(path(paths.sh_sidecar, s, p)) for s in subjects for p in platforms]
    # Platforms may differ in their shell, but in nothing else.
    alike = [{key: value for key, value in c.items() if key != "shell"} for c in conventions]
    if any(c != alike[0] for c in alike):
        raise InputError(
            f"{paths.results}/sh: images were made with different settings; delete the folder"
        )
    shells = {platform: c["shell"] for platform, c in zip(platforms, conventions, strict=False)}
    manifest = make_manifest(
        folder=args.output.parent,
        parts=args.parts,
        images=images,
        source=args.source,
        denoised=args.denoised,
        scales=args.scales,
        lattice=Lattice(**args.lattice),
        conventions=conventions[0] | {"target_shells": {p: shells[p] for p in args.scales}},
        limit=(args.patches, args.draw) if args.patches else None,
    )
    write_json(args.output, manifest)


if __name__ == "__main__":
    run_command(main)
