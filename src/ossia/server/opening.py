"""How a client's conversation opens: who the model is, what it is told to do, and what it may call."""

import json
from collections.abc import Sequence
from datetime import date

from ossia.agent.card import ModelCard
from ossia.harmony.grammar import JsonSchema, ResponseFormat
from ossia.harmony.messages import DeveloperContent, Effort, Message, SystemContent
from ossia.server.declared import Declared


def open_conversation(
    card: ModelCard,
    *,
    effort: Effort,
    today: date,
    instructions: Sequence[str],
    declared: Declared,
    response_format: ResponseFormat | None = None,
) -> tuple[Message, ...]:
    """The messages before anybody spoke: system, and developer where there is something to say in it.

    What the application says in several places stands in one developer message, an empty line between; the
    schema its answer has to satisfy comes last, so that the model knows it as well as the grammar.
    """
    system = SystemContent(
        identity=card.identity, knowledge_cutoff=card.knowledge_cutoff, current_date=today, effort=effort
    )
    texts = [said for said in instructions if said.strip()]
    if isinstance(response_format, JsonSchema):
        texts.append(_format_section(response_format))
    text = "\n\n".join(texts) or None
    if text is None and not declared.namespaces:
        return (Message("system", system),)
    return (
        Message("system", system),
        Message("developer", DeveloperContent(text, declared.namespaces)),
    )


def _format_section(wanted: JsonSchema) -> str:
    schema = json.dumps(wanted.schema, ensure_ascii=False, separators=(",", ":"))
    return f"# Response Formats\n\n## {wanted.name or 'response'}\n\n{schema}"
