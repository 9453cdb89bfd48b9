"""The engine: sequences in, tokens out, a step at a time."""

from ossia.engine.engine import (
    Engine,
    EngineStats,
    ForwardModel,
    LogitsObserver,
    Output,
    build_engine,
)
from ossia.engine.sequence import Sequence
from ossia.engine.sizing import EngineOptions, PoolPlan, plan_pools

__all__ = [
    "Engine",
    "EngineOptions",
    "EngineStats",
    "ForwardModel",
    "LogitsObserver",
    "Output",
    "PoolPlan",
    "Sequence",
    "build_engine",
    "plan_pools",
]
