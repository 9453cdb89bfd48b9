"""What is known about a model besides its weights: who it is told it is, and how it is best sampled.

Apart from `load`, so that whoever only wants to know need not bring the engine with it.
"""

from ossia.agent.card import ModelCard
from ossia.hub.names import POCKET
from ossia.hub.sources import FoundModel
from ossia.model.config import O200K_VOCAB, ModelConfig

# A model of its size errs in the digits of a call when sampled at 1.0, which gpt-oss recommends.
_POCKET_TEMPERATURE = 0.3
_POCKET_SHAPE = (49152, 30, 576)  # vocabulary, layers, width
# As it was trained: posttrain.data.scenarios.
_POCKET_IDENTITY = "You are Ossia's pocket model, a small language model."


def card_of(model: FoundModel, config: ModelConfig, context_length: int) -> ModelCard:
    """What is known about a model besides its weights: who it is told it is, and what it cannot do.

    Pocket is known by its shape too, under whatever path it lies. A model with another vocabulary than
    gpt-oss's is told no identity: it is not OpenAI's.
    """
    if model.name == POCKET or _shape(config) == _POCKET_SHAPE:
        return ModelCard(
            name=model.name,
            identity=_POCKET_IDENTITY,
            knowledge_cutoff=None,
            context_length=context_length,
            english_only=True,
            description="A small model to try everything with: English, weak facts, simple tool calls.",
            temperature=_POCKET_TEMPERATURE,
        )
    if config.vocab_size != O200K_VOCAB:
        return ModelCard(model.name, identity=None, knowledge_cutoff=None, context_length=context_length)
    return ModelCard(name=model.name, context_length=context_length)


def _shape(config: ModelConfig) -> tuple[int, int, int]:
    return config.vocab_size, config.num_hidden_layers, config.hidden_size
