"""Where, and how precisely, networks compute."""

import os
import tempfile
import time
from pathlib import Path

import torch
from filelock import FileLock, Timeout

_LEASES: dict[str, FileLock] = {}  # of this process, for as long as it lives


def choose_device(gpus: int) -> str:
    """Choose the GPU if this job was given one and torch sees it, otherwise the CPU.

    A job on the CPU uses one thread: its sums do not depend on what else runs, and parallel jobs
    use the machine better than threads do. A job on a GPU has it for itself (see `lease`), and
    computes as `make_reproducible` says.
    """
    torch.set_num_threads(1)
    if not gpus or not torch.cuda.is_available():
        return "cpu"
    make_reproducible()
    seen = range(torch.cuda.device_count())
    names = [str(torch.cuda.get_device_properties(number).uuid) for number in seen]
    torch.cuda.set_device(lease(names))
    return "cuda"


def make_reproducible() -> None:
    """Let this process compute the same bytes each time on a GPU, or refuse to.

    What is called float32 is float32: by default, convolutions would round to TF32 on the GPUs that
    have it.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # makes cuBLAS deterministic
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def lease(names: list[str], folder: Path | None = None, wait: float = 1.0) -> int:
    """Lease one GPU to this process until it ends, whatever ends it.

    Snakemake counts GPUs, but does not say which of them a job gets. A lease is a lock on a file,
    which the kernel frees when the process dies. While all are leased, the process waits.

    Parameters
    ----------
    names : list of str
        What identifies the GPUs on this machine, whichever of them a process sees.
    folder : Path, optional
        Of the locks; by default the user's own, for temporary files.
    wait : float
        Seconds from one look to the next.

    Returns
    -------
    int
        Index in `names`.
    """
    folder = folder or Path(tempfile.gettempdir()) / f"harmonization-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    held = [index for index, name in enumerate(names) if name in _LEASES]
    if held:
        return held[0]
    said = False
    while True:
        for index, name in enumerate(names):
            lock = FileLock(folder / f"{name}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            _LEASES[name] = lock
            return index
        if not said:
            print(f"all {len(names)} GPUs are in use; wait for one", flush=True)
            said = True
        time.sleep(wait)


def choose_precision(wanted: str, device: str) -> torch.dtype:
    """Choose the type to train in: `wanted`, or float32 where bfloat16 would be slow."""
    if device == "cuda":
        quick = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        processor = torch.cpu.get_capabilities()
        quick = processor.get("avx512_bf16", False) or processor.get("amx_bf16", False)
    return torch.bfloat16 if wanted == "bfloat16" and quick else torch.float32
