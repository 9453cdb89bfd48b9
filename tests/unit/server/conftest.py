"""Puts the puppet within reach of the tests here, in whatever folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
