"""Which tools a conversation declares: from structured messages, or read out of their text.

The text is only looked at to judge a conversation; nothing that renders or routes goes by it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ossia.harmony.header import ROLES
from ossia.harmony.messages import DeveloperContent, Message, SystemContent, ToolNamespace, ToolSpec

_TOOLS = re.compile(r"^# Tools$", re.MULTILINE)
_HEADING = re.compile(r"## ([\w.\-]+)\s*$")
_NAMESPACE = re.compile(r"namespace ([\w.\-]+) \{\s*$")
_TYPE = re.compile(r"type ([\w\-]+) = \(")


@dataclass(frozen=True, slots=True)
class Declared:
    """The tools by full name, with their specification where it is known; and namespaces told in prose.

    `said`: there is a system or developer message, so that what is missing in it is not declared.
    """

    said: bool = False
    tools: Mapping[str, ToolSpec | None] = field(default_factory=dict[str, ToolSpec | None])
    prose: frozenset[str] = frozenset()

    def allows(self, recipient: str) -> bool:
        """Whether a message may go to `recipient`."""
        if not self.said or recipient in self.tools or recipient in ROLES:
            return True
        return recipient.split(".", 1)[0] in self.prose


def declared_tools(messages: Iterable[Message]) -> Declared:
    """Collect what the system and developer messages declare."""
    tools: dict[str, ToolSpec | None] = {}
    prose: set[str] = set()
    said = False
    for message in messages:
        if message.role not in ("system", "developer"):
            continue
        said = True
        if isinstance(message.content, SystemContent | DeveloperContent):
            _from_namespaces(message.content.tools, tools, prose)
        else:
            _from_text(message.content, tools, prose)
    return Declared(said, tools, frozenset(prose))


def _from_namespaces(
    namespaces: Iterable[ToolNamespace], tools: dict[str, ToolSpec | None], prose: set[str]
) -> None:
    for namespace in namespaces:
        tools |= {f"{namespace.name}.{tool.name}": tool for tool in namespace.tools}
        if not namespace.tools:
            prose.add(namespace.name)


def _from_text(text: str, tools: dict[str, ToolSpec | None], prose: set[str]) -> None:
    """Read what `schema.render_tools` wrote: headings, and in a namespace its types."""
    start = _TOOLS.search(text)
    headings: set[str] = set()
    namespaces: set[str] = set()
    current = ""
    for line in text[start.end() :].splitlines() if start else ():
        if heading := _HEADING.match(line):
            headings.add(heading[1])
        elif namespace := _NAMESPACE.match(line):
            current = namespace[1]
            namespaces.add(current)
        elif current and (name := _TYPE.match(line)):
            tools[f"{current}.{name[1]}"] = None
    prose |= headings - namespaces
