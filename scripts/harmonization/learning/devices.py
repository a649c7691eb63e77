"""Where, and how precisely, networks compute."""

import os

import torch


def choose_device(gpus: int) -> str:
    """Choose the GPU if this job was given one and torch sees it, otherwise the CPU.

    A job on the CPU uses one thread: its sums do not depend on what else runs, and parallel jobs
    use the machine better than threads do. On a GPU, algorithms whose results vary from run to run
    are refused.
    """
    torch.set_num_threads(1)
    if not gpus or not torch.cuda.is_available():
        return "cpu"
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # makes cuBLAS deterministic
    torch.use_deterministic_algorithms(True)
    return "cuda"


def choose_precision(wanted: str, device: str) -> torch.dtype:
    """Choose the type to train in: `wanted`, or float32 where bfloat16 would be slow."""
    if device == "cuda":
        quick = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        processor = torch.cpu.get_capabilities()
        quick = processor.get("avx512_bf16", False) or processor.get("amx_bf16", False)
    return torch.bfloat16 if wanted == "bfloat16" and quick else torch.float32
