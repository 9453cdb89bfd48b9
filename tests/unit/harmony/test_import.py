"""Who needs only the format gets only the format."""

import subprocess
import sys

PROBE = """
import sys
import ossia.harmony
from ossia.tokenizer import load_o200k_harmony
rooms = {name.split(".")[1] for name in sys.modules if name.startswith("ossia.")}
assert rooms == {"harmony", "tokenizer", "errors"}, rooms
assert not {"numpy", "torch", "safetensors"} & set(sys.modules)
assert load_o200k_harmony.cache_info().currsize == 0, "the vocabulary was loaded by an import"
"""


def test_import_loads_neither_numbers_nor_vocabulary() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
