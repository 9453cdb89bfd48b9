"""config.json in its three shapes, and everything it must not be."""

import json
import warnings

import pytest
from tiny_gptoss import CONFIG, original_config, quantised

from ossia.errors import ConfigError
from ossia.model.config import O200K_EOS, UnknownConfigKey, config_from_dict, load_config

PUBLISHED = {
    "architectures": ["GptOssForCausalLM"],
    "attention_bias": True,
    "attention_dropout": 0.0,
    "eos_token_id": 200002,
    "experts_per_token": 4,
    "head_dim": 64,
    "hidden_act": "silu",
    "hidden_size": 2880,
    "initial_context_length": 4096,
    "initializer_range": 0.02,
    "intermediate_size": 2880,
    "layer_types": ["sliding_attention", "full_attention"] * 12,
    "max_position_embeddings": 131072,
    "model_type": "gpt_oss",
    "num_attention_heads": 64,
    "num_experts_per_tok": 4,
    "num_hidden_layers": 24,
    "num_key_value_heads": 8,
    "num_local_experts": 32,
    "output_router_logits": False,
    "pad_token_id": 199999,
    "quantization_config": {
        "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router"],
        "quant_method": "mxfp4",
    },
    "rms_norm_eps": 1e-05,
    "rope_scaling": {
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "factor": 32.0,
        "original_max_position_embeddings": 4096,
        "rope_type": "yarn",
        "truncate": False,
    },
    "rope_theta": 150000,
    "router_aux_loss_coef": 0.9,
    "sliding_window": 128,
    "swiglu_limit": 7.0,
    "tie_word_embeddings": False,
    "transformers_version": "4.55.0.dev0",
    "use_cache": True,
    "vocab_size": 201088,
}

ORIGINAL = {
    "num_hidden_layers": 24,
    "num_experts": 32,
    "experts_per_token": 4,
    "vocab_size": 201088,
    "hidden_size": 2880,
    "intermediate_size": 2880,
    "swiglu_limit": 7.0,
    "head_dim": 64,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "sliding_window": 128,
    "initial_context_length": 4096,
    "rope_theta": 150000,
    "rope_scaling_factor": 32.0,
    "rope_ntk_alpha": 1,
    "rope_ntk_beta": 32,
}


def transformers_5(d):
    new = {k: v for k, v in d.items() if k not in ("rope_scaling", "rope_theta", "torch_dtype")}
    rope = d["rope_scaling"] | {"rope_theta": d["rope_theta"]}
    return new | {"rope_parameters": rope, "swiglu_alpha": 1.702, "dtype": "bfloat16", "bos_token_id": None}


def test_the_three_shapes_are_one_model():
    published = config_from_dict(PUBLISHED)
    assert published == config_from_dict(transformers_5(PUBLISHED))
    original = config_from_dict(ORIGINAL)
    assert original.eos_token_ids == O200K_EOS
    assert published.eos_token_ids == (200002,)
    no_eos = {k: v for k, v in PUBLISHED.items() if k != "eos_token_id"}
    assert original == config_from_dict(no_eos)


def test_what_the_published_config_says():
    c = config_from_dict(PUBLISHED)
    assert c.layer_types[:2] == ("sliding_attention", "full_attention")
    assert c.qkv_size == 5120
    assert c.quantization == "mxfp4"
    assert (c.swiglu_alpha, c.swiglu_limit, c.rms_norm_eps) == (1.702, 7.0, 1e-5)
    assert c.rope.factor == 32
    assert not c.rope.truncate


def test_layer_zero_slides_where_layer_types_are_left_out():
    c = config_from_dict({k: v for k, v in CONFIG.items() if k != "layer_types"})
    assert c.layer_types == ("sliding_attention", "full_attention") * 2


def test_plain_rope():
    c = config_from_dict(
        {k: v for k, v in CONFIG.items() if k not in ("rope_scaling", "rope_theta")}
        | {"rope_parameters": {"rope_type": "default", "rope_theta": 1e5}}
    )
    assert (c.rope.factor, c.rope.theta) == (1.0, 1e5)
    assert c.max_position_embeddings == 4096


def test_a_yarn_ramp_is_truncated_unless_told_otherwise():
    rope = {k: v for k, v in CONFIG["rope_scaling"].items() if k != "truncate"}
    assert config_from_dict(CONFIG | {"rope_scaling": rope}).rope.truncate  # as in transformers


def test_stop_ids_of_generation_config_join(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED))
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [200002, 199999, 200012]}')
    assert load_config(tmp_path).eos_token_ids == (200002, 199999, 200012)


def test_a_key_nobody_knows_draws_a_warning():
    with pytest.warns(UnknownConfigKey, match="attention_temperature = 3"):
        config_from_dict(CONFIG | {"attention_temperature": 3})


def test_known_harmless_keys_are_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config_from_dict(PUBLISHED)
        config_from_dict(original_config())
        config_from_dict(quantised())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "llama"}, "model_type = 'llama'"),
        ({"hidden_act": "gelu"}, "hidden_act = 'gelu'"),
        ({"attention_bias": False}, "attention_bias = False"),
        ({"tie_word_embeddings": True}, "tie_word_embeddings = True"),
        ({"layer_types": ["sliding_attention", "linear_attention"] * 2}, "linear_attention"),
        ({"layer_types": ["sliding_attention"]}, "1 entries for 4 layers"),
        ({"quantization_config": {"quant_method": "gptq"}}, "'gptq'"),
        ({"quantization_config": {}}, "quantisation None"),
        ({"quantization_config": "mxfp4x"}, "'mxfp4x'"),
        ({"rope_scaling": {"rope_type": "llama3"}}, "'llama3'"),
        ({"rope_scaling": CONFIG["rope_scaling"] | {"mscale": 1.0}}, "mscale = 1.0"),
        ({"rope_scaling": CONFIG["rope_scaling"] | {"beta_slow": 40.0}}, "beta_fast 32 is not above"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "lacks original_max_position_embeddings"),
        ({"rope_scaling": 4}, "rope_scaling is 4"),
        ({"hidden_size": 100}, "hidden_size is 100, not a multiple of 32"),
        ({"intermediate_size": 48}, "intermediate_size is 48"),
        ({"head_dim": 17, "num_attention_heads": 32}, "head_dim is 17"),
        ({"num_key_value_heads": 3}, "8 query heads cannot share 3"),
        ({"num_experts_per_tok": 9}, "9 experts per token of only 8"),
        ({"num_experts": 16}, "num_local_experts = 8 and num_experts = 16"),
        ({"hidden_size": None}, "lacks hidden_size"),
        ({"hidden_size": "64"}, "hidden_size = '64'"),
        ({"hidden_size": 64.0}, "hidden_size = 64.0"),
        ({"num_hidden_layers": True}, "num_hidden_layers = True"),
        ({"rms_norm_eps": 0}, "rms_norm_eps = 0"),
        ({"swiglu_limit": float("nan")}, "swiglu_limit = nan"),
        ({"eos_token_id": 160}, "outside a vocabulary of 160"),
        ({"eos_token_id": ["a"]}, "eos_token_id is"),
    ],
)
def test_what_ossia_cannot_run_is_refused_by_name(change, said):
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")) as e:
        config_from_dict(CONFIG | change)
    assert e.value.limit is not None
    assert e.value.remedy


@pytest.mark.parametrize("text", [None, "{", "[]", "\xff", "[" * 100_000])
def test_a_file_that_is_no_config(tmp_path, text):
    if text is not None:
        (tmp_path / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match=r"config\.json") as e:
        load_config(tmp_path)
    assert e.value.remedy


def test_a_file_where_a_folder_should_be(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    with pytest.raises(ConfigError, match=r"config\.json cannot be read"):
        load_config(path)
