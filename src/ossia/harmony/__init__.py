"""Harmony, the format gpt-oss speaks: messages, their rendering to token ids, and parsing back."""

from ossia.harmony.messages import (
    CHANNELS,
    EFFORTS,
    IDENTITY,
    KNOWLEDGE_CUTOFF,
    Channel,
    Content,
    Conversation,
    DeveloperContent,
    Effort,
    Message,
    Role,
    SystemContent,
    ToolNamespace,
    ToolSpec,
    tool_result,
    user,
)
from ossia.harmony.render import drop_finished_analysis, render_conversation, render_message
from ossia.harmony.schema import render_namespace

__all__ = [
    "CHANNELS",
    "EFFORTS",
    "IDENTITY",
    "KNOWLEDGE_CUTOFF",
    "Channel",
    "Content",
    "Conversation",
    "DeveloperContent",
    "Effort",
    "Message",
    "Role",
    "SystemContent",
    "ToolNamespace",
    "ToolSpec",
    "drop_finished_analysis",
    "render_conversation",
    "render_message",
    "render_namespace",
    "tool_result",
    "user",
]
