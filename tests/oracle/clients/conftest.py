"""Puts the puppet, a scripted model in a real server, and the walk over types within reach of the tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "unit" / "server"))
sys.path.insert(0, str(Path(__file__).parent))
