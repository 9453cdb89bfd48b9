"""Models that other machines compute, and this one speaks for."""

from ossia.hub.cluster.connect import aconnect, connect

__all__ = ["aconnect", "connect"]
