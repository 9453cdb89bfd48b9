"""The tools at hand for an answer, found by the recipient the model wrote."""

from collections.abc import Iterable

from ossia.errors import ToolDefinitionError
from ossia.harmony.messages import Conversation, DeveloperContent, SystemContent, ToolNamespace
from ossia.tools.base import Tool, ToolOutcome, bound_text, full_name


class Toolbox:
    """Tools by full name. Raises ToolDefinitionError when two have the same."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            name = full_name(tool)
            if name in self._tools:
                raise ToolDefinitionError(
                    f"two tools are called {name!r}",
                    value=name,
                    limit="one tool of each name",
                    remedy='Rename one: tool(function, name="…").',
                )
            self._tools[name] = tool

    def find(self, recipient: str) -> Tool | None:
        """The tool called so, also where the model left out the namespace and only one tool can be meant."""
        if recipient in self._tools:
            return self._tools[recipient]
        bare = [tool for tool in self._tools.values() if tool.spec.name == recipient]
        return bare[0] if len(bare) == 1 else None

    async def call(self, recipient: str, arguments: str) -> ToolOutcome:
        """Run a call of the model; an unknown tool is an error outcome that lists the known ones."""
        tool = self.find(recipient)
        if tool is None:
            known = (
                f"Available: {', '.join(self._tools)}." if self._tools else "There are none: answer without."
            )
            return ToolOutcome(bound_text(f"There is no tool {recipient!r}. {known}"), is_error=True)
        try:
            return await tool.call(arguments)
        except Exception as cause:  # a Tool must not raise; one that does is no reason to lose the answer
            return ToolOutcome(f"{type(cause).__name__}: {cause}", is_error=True)


def is_declared(recipient: str, conversation: Conversation) -> bool:
    """Whether the conversation's system and developer messages offer the model a tool of that name."""
    return any(
        _holds(namespace, recipient)
        for message in conversation.messages
        if isinstance(message.content, SystemContent | DeveloperContent)
        for namespace in message.content.tools
    )


def _holds(namespace: ToolNamespace, recipient: str) -> bool:
    if not namespace.tools:  # described in prose: whatever begins with its name
        return recipient.split(".", 1)[0] == namespace.name
    return recipient in {f"{namespace.name}.{tool.name}" for tool in namespace.tools}
