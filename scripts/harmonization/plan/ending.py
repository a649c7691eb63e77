"""The end of a run that went well."""

import shutil
import subprocess
import sys
from pathlib import Path

from harmonization.plan.paths import RunPaths


def end_run(paths: RunPaths, root: Path) -> None:
    """Remove what is no longer needed, and record how the results came about.

    After all jobs, for the record tells what each of them took.

    Parameters
    ----------
    paths : RunPaths
    root : Path
        Root of the repository.
    """
    for folder in paths.spent_checkpoints():
        shutil.rmtree(folder, ignore_errors=True)
        # The folders of its target, its method and all, as soon as nothing is in them.
        for parent in folder.parents[:3]:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()
    # A call for single files may not have written it.
    if Path(paths.config).exists():
        command = ["record_provenance", "--results", paths.results, "--root", root]
        command += ["--output", paths.provenance]
        subprocess.run([sys.executable, "-m", *command], check=False)
