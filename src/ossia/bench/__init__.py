"""Measuring: random weights in the published shapes, and what a model reaches on this machine."""
