"""openai-harmony 0.0.8's Python API under its own names: a program switches by changing one import.

A thin layer: models as users of that package know them (pydantic, mutable, fluent), over Ossia's
renderer, parser and vocabulary. Where it differs on purpose is listed in ``docs/compat.md``.
"""

from ossia.harmony.compat.content import (
    Author,
    ChannelConfig,
    Content,
    DeveloperContent,
    ReasoningEffort,
    Role,
    SystemContent,
    TextContent,
    ToolDescription,
    ToolNamespaceConfig,
)
from ossia.harmony.compat.convert import (
    conversation_from_ossia,
    conversation_to_ossia,
    message_from_ossia,
    message_to_ossia,
)
from ossia.harmony.compat.encoding import (
    HarmonyEncoding,
    HarmonyEncodingName,
    RenderConversationConfig,
    RenderOptions,
    load_harmony_encoding,
)
from ossia.harmony.compat.errors import HarmonyError, UnknownEncodingError
from ossia.harmony.compat.messages import Conversation, Message
from ossia.harmony.compat.parser import StreamableParser, StreamState

__all__ = [
    "Author",
    "ChannelConfig",
    "Content",
    "Conversation",
    "DeveloperContent",
    "HarmonyEncoding",
    "HarmonyEncodingName",
    "HarmonyError",
    "Message",
    "ReasoningEffort",
    "RenderConversationConfig",
    "RenderOptions",
    "Role",
    "StreamState",
    "StreamableParser",
    "SystemContent",
    "TextContent",
    "ToolDescription",
    "ToolNamespaceConfig",
    "UnknownEncodingError",
    "conversation_from_ossia",
    "conversation_to_ossia",
    "load_harmony_encoding",
    "message_from_ossia",
    "message_to_ossia",
]
