"""The kernels of ARM, which this machine can only emulate: `make test-neon`."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.outside
@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "needed", "isas"),
    [
        ("test-native", ("c++",), ("scalar",)),
        (
            "test-neon",
            ("aarch64-linux-gnu-g++", "qemu-aarch64-static"),
            ("scalar neon neon_i8mm", "scalar neon"),
        ),
    ],
)
def test_every_kernel_equals_scalar_without_python(
    target: str, needed: tuple[str, ...], isas: tuple[str, ...]
):
    for program in ("make", *needed):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    run = subprocess.run(["make", "-s", target], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 failures" in run.stdout
    for names in isas:
        assert f"instruction sets: {names}" in run.stdout
