"""Harmony, the format gpt-oss speaks: messages, their rendering to token ids, and parsing back."""

from ossia.harmony.events import (
    ContentDelta,
    Diagnostic,
    MessageEnded,
    MessageStarted,
    ParseEvent,
    Span,
)
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
from ossia.harmony.parse import StreamParser, parse
from ossia.harmony.render import drop_finished_analysis, render_conversation, render_message
from ossia.harmony.schema import render_namespace

__all__ = [
    "CHANNELS",
    "EFFORTS",
    "IDENTITY",
    "KNOWLEDGE_CUTOFF",
    "Channel",
    "Content",
    "ContentDelta",
    "Conversation",
    "DeveloperContent",
    "Diagnostic",
    "Effort",
    "Message",
    "MessageEnded",
    "MessageStarted",
    "ParseEvent",
    "Role",
    "Span",
    "StreamParser",
    "SystemContent",
    "ToolNamespace",
    "ToolSpec",
    "drop_finished_analysis",
    "parse",
    "render_conversation",
    "render_message",
    "render_namespace",
    "tool_result",
    "user",
]
