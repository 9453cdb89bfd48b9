"""TRL's SFTTrainer takes the training view unchanged: same ids, same labels, and the loss over just these."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from tiny_gptoss import CONFIG
from transformers import GptOssConfig, GptOssForCausalLM, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

from ossia.harmony.training import NOT_LEARNT, training_rows
from ossia.tokenizer import load_checkpoint_tokenizer

TINY = Path(__file__).parents[1] / "golden" / "tokenizer_tiny.json"


def row(n: int) -> dict[str, Any]:
    """Two turns, the first with a tool loop; every row is of another length."""
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": f'{{"a": {n}}}'}}
    return {
        "tools": [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}],
        "messages": [
            {"role": "system", "content": "Count."},
            {"role": "user", "content": "And now?" * n},
            {"role": "assistant", "thinking": "Add.", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": str(n + 1)},
            {"role": "assistant", "thinking": "Done.", "content": f"It is {n + 1}."},
            {"role": "user", "content": "Thanks."},
            {"role": "assistant", "thinking": "Polite.", "content": "한국어" * n},
        ],
    }


def with_objects(name: str) -> dict[str, Any]:
    """A row whose arguments and schema are objects, with keys that no other row has."""
    tool = {
        "name": "set",
        "parameters": {"type": "object", "properties": {name: {"type": "string", "enum": [name]}}},
    }
    call = {"type": "function", "function": {"name": "set", "arguments": {name: name}}}
    asked = {"role": "user", "content": "Go."}
    return {"tools": [tool], "messages": [asked, {"role": "assistant", "tool_calls": [call]}]}


class Watched(SFTTrainer):
    """Keeps what each step was given and what it made of it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seen: list[tuple[list[int], list[int]]] = []
        self.losses: list[tuple[float, float]] = []

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **options: Any) -> Any:
        given = {name: value.clone() for name, value in inputs.items()}
        by_hand = cross_entropy_by_hand(model, given)
        result = super().compute_loss(model, inputs, *args, **options)
        loss = result[0] if isinstance(result, tuple) else result
        self.losses.append((loss.item(), by_hand))
        self.seen += unpadded(given)
        return result


def unpadded(batch: Any) -> list[tuple[list[int], list[int]]]:
    rows: list[tuple[list[int], list[int]]] = []
    for ids, labels, mask in zip(batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True):
        length = int(mask.sum())
        assert mask[:length].all(), "padded on the right"
        assert (labels[length:] == NOT_LEARNT).all(), "padding is not learnt"
        rows.append((ids[:length].tolist(), labels[:length].tolist()))
    return rows


def cross_entropy_by_hand(model: Any, batch: Any) -> float:
    """Mean of -log p over the learnt positions, each row on its own and without padding."""
    losses: list[float] = []
    with torch.no_grad():
        for ids, labels in unpadded(batch):
            logits = model(input_ids=torch.tensor([ids])).logits[0].double()  # (T, V)
            log_probs = torch.log_softmax(logits, dim=-1)
            learnt = [at for at, label in enumerate(labels) if label != NOT_LEARNT]
            losses += [-log_probs[at - 1, labels[at]].item() for at in learnt]
    return sum(losses) / len(losses)


@pytest.fixture(scope="module")
def model() -> GptOssForCausalLM:
    torch.manual_seed(0)
    size = load_checkpoint_tokenizer(TINY).vocab_size
    config = GptOssConfig(**(CONFIG | {"vocab_size": size, "num_hidden_layers": 2, "layer_types": None}))
    return GptOssForCausalLM(config).float()


# TRL sets this default of its own whatever it is told.
@pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning")
def test_sfttrainer_takes_the_rows_unchanged(model: GptOssForCausalLM, tmp_path: Path) -> None:
    rows = list(training_rows([row(n) for n in range(1, 4)], load_checkpoint_tokenizer(TINY)))
    options = SFTConfig(
        output_dir=str(tmp_path),
        max_length=None,
        per_device_train_batch_size=2,
        num_train_epochs=1,
        learning_rate=1e-3,
        router_aux_loss_coef=0.0,  # or the loss is more than what is compared here
        use_cpu=True,
        bf16=False,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(TINY), eos_token="<|return|>", pad_token="<|endoftext|>"
    )
    trainer = Watched(model, options, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    trainer.train()
    assert sorted(trainer.seen) == sorted((r["input_ids"], r["labels"]) for r in rows)
    assert len(trainer.losses) == 3, "six examples in batches of two"
    for loss, by_hand in trainer.losses:
        assert loss == pytest.approx(by_hand, rel=1e-5)
    assert trainer.losses[0][0] > trainer.losses[-1][0] > 0, "something was learnt"


def test_rows_are_the_same_from_a_table() -> None:
    tok = load_checkpoint_tokenizer(TINY)
    rows = [with_objects("a"), with_objects("b")]
    table = Dataset.from_list(rows)
    assert table[0] != rows[0], "a table pads"
    assert list(training_rows(table, tok)) == list(training_rows(rows, tok))
