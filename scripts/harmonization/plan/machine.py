"""What this machine has that a run does not use."""

from pathlib import Path


def unused_gpus(lent: bool, devices: Path = Path("/dev")) -> str:
    """Say that this machine has GPUs, if it has any and none is lent to the jobs; else nothing.

    Parameters
    ----------
    lent : bool
        Whether jobs may use GPUs.
    devices : Path
        Folder of the machine's devices.
    """
    number = len(list(devices.glob("nvidia[0-9]*")))
    if lent or not number:
        return ""
    have = "A GPU is" if number == 1 else f"{number} GPUs are"
    return f"{have} here, but all jobs run on the CPU: --resources gpu={number} lends them."
