"""Puts the puppet, a scripted model in a real server, within reach of the tests here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "unit" / "server"))
