"""How a client's conversation opens: who the model is, what it is told to do, and what it may call."""

from collections.abc import Sequence
from datetime import date

from ossia.agent.card import ModelCard
from ossia.harmony.messages import DeveloperContent, Effort, Message, SystemContent
from ossia.server.declared import Declared


def open_conversation(
    card: ModelCard, *, effort: Effort, today: date, instructions: Sequence[str], declared: Declared
) -> tuple[Message, ...]:
    """The messages before anybody spoke: system, and developer where there is something to say in it.

    What the application says in several places stands in one developer message, an empty line between.
    """
    system = SystemContent(
        identity=card.identity, knowledge_cutoff=card.knowledge_cutoff, current_date=today, effort=effort
    )
    text = "\n\n".join(said for said in instructions if said.strip()) or None
    if text is None and not declared.namespaces:
        return (Message("system", system),)
    return (
        Message("system", system),
        Message("developer", DeveloperContent(text, declared.namespaces)),
    )
