"""Harmony, the format gpt-oss speaks: messages, their rendering to token ids, and parsing back.

`grammar` (token masks), `formats` (what others write conversations in) and `compat` (openai-harmony's API)
are imported by name: who needs only the format loads only the format.
"""

from ossia.harmony.events import (
    ContentDelta,
    Diagnostic,
    MessageEnded,
    MessageStarted,
    ParseEvent,
    Span,
)
from ossia.harmony.incremental import RenderedPrompt, Rendering
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
    TextInput,
    ToolNamespace,
    ToolSpec,
    tool_result,
    user,
)
from ossia.harmony.parse import StreamParser, parse
from ossia.harmony.render import drop_finished_analysis, render_conversation, render_message
from ossia.harmony.schema import SchemaMode, render_namespace
from ossia.harmony.training import TrainingExample, training_examples, training_rows

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
    "RenderedPrompt",
    "Rendering",
    "Role",
    "SchemaMode",
    "Span",
    "StreamParser",
    "SystemContent",
    "TextInput",
    "ToolNamespace",
    "ToolSpec",
    "TrainingExample",
    "drop_finished_analysis",
    "parse",
    "render_conversation",
    "render_message",
    "render_namespace",
    "tool_result",
    "training_examples",
    "training_rows",
    "user",
]
