"""A user is told of GPUs that nothing uses."""

import pytest

from harmonization.plan.machine import unused_gpus


@pytest.mark.parametrize(
    ("devices", "lent", "expected"),
    [
        (["null", "nvidiactl", "nvidia-uvm"], False, ""),
        (["nvidia0", "nvidiactl"], True, ""),
        (["nvidia0", "nvidiactl"], False, "A GPU is here, but all jobs run on the CPU"),
        (["nvidia0", "nvidia1"], False, "2 GPUs are here"),
    ],
)
def test_unused_gpus_are_told_in_one_line(tmp_path, devices, lent, expected):
    for name in devices:
        (tmp_path / name).touch()
    said = unused_gpus(lent, tmp_path)
    assert said.startswith(expected)
    assert bool(said) == bool(expected)
    assert "\n" not in said
