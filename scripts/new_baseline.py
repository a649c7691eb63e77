"""Write a new baseline with rules of its own: a copy of the example `gain`, to be changed."""

import argparse
import json
import re
import shutil
from pathlib import Path

from harmonization.files import InputError, read_text, run_command, write_text
from harmonization.plan.baselines import DESCRIPTION, NAME, find_baselines
from harmonization.plan.methods import FAMILIES, method_files

ROOT = Path(__file__).parent.parent
EXAMPLE = "gain"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="lower case, such as my_method")
    args = parser.parse_args()
    folder = new_folder(args.name)
    shutil.copytree(ROOT / "workflow/baselines" / EXAMPLE, folder)
    description = folder / DESCRIPTION
    label = args.name.replace("_", " ").capitalize()
    line = f"label: {json.dumps(label)}"  # in quotes, for YAML reads On, Yes and Null otherwise
    text = re.sub("^label: .*$", line, read_text(description), flags=re.MULTILINE)
    write_text(description, text)
    print(
        f"Wrote {folder.relative_to(ROOT)}. Change its {DESCRIPTION}, Snakefile and scripts, and "
        "name it under 'methods' of a run."
    )


def new_folder(name: str) -> Path:
    """Folder of a new baseline.

    Raises
    ------
    InputError
        If the name cannot be that of a method, or is taken.
    """
    if not re.fullmatch(NAME, name):
        raise InputError(f"{name}: is no name of a method; use lower case, digits and _")
    known = {**method_files(ROOT / "config/methods"), **find_baselines(ROOT)}
    folder = ROOT / "workflow/baselines" / name
    if name in known or name in FAMILIES or folder.exists():
        raise InputError(f"{name}: {known.get(name, folder)} has this name; choose another")
    return folder


if __name__ == "__main__":
    run_command(main)
