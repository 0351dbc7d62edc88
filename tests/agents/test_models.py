import json
import pickle
import shutil
import sys

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from agents.models import ModelSpec, causal_lm, check_head, context_limit, load, sliding_window, stable_context
from tests.agents.toys import LOGITS, config_of


def tokenizer_of(size: int) -> PreTrainedTokenizerFast:
    vocabulary = {f"w{i}": i for i in range(size)}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token="w0")), eos_token="w1")


def test_load_gives_model_and_tokenizer(model_dir, tmp_path):
    folder = shutil.copytree(model_dir, tmp_path / "model")
    tokenizer_of(LOGITS - 3).save_pretrained(folder)
    model, tokenizer = load(folder, device="cpu")
    assert len(tokenizer) == LOGITS - 3 and not model.training and model.dtype == torch.float32
    assert load(folder, dtype="bfloat16", device="cpu")[0].dtype == torch.bfloat16


def test_fewer_logits_than_tokens_is_refused(model_dir, tmp_path):
    folder = shutil.copytree(model_dir, tmp_path / "model")
    tokenizer_of(LOGITS + 1).save_pretrained(folder)
    with pytest.raises(ValueError, match=f"{LOGITS} logits and the tokenizer {LOGITS + 1} tokens"):
        load(folder, device="cpu")


def test_unknown_name_lists_the_known(tmp_path):
    with pytest.raises(FileNotFoundError, match="smollm2-135m"):
        load(tmp_path / "nowhere")


def test_spec_reads_weights_from_its_source(model_dir):
    spec = ModelSpec.of(model_dir)
    expected = AutoModelForCausalLM.from_pretrained(model_dir).state_dict()
    built = spec.build().state_dict()
    assert expected.keys() == built.keys() and all(torch.equal(built[key], value) for key, value in expected.items())


def test_pickled_spec_builds_the_architecture_without_the_folder(model_dir, tmp_path):
    folder = shutil.copytree(model_dir, tmp_path / "model")
    spec = ModelSpec.of(folder)
    saved = pickle.dumps(spec)
    shutil.rmtree(folder)
    again = pickle.loads(saved)
    assert again == spec and spec.source is not None and again.source is None
    assert str(folder).encode() not in saved
    built = ModelSpec(**json.loads(json.dumps(again.__dict__))).build()
    shapes = {key: value.shape for key, value in AutoModelForCausalLM.from_pretrained(model_dir).state_dict().items()}
    assert {key: value.shape for key, value in built.state_dict().items()} == shapes


def test_dropout_is_off(model_dir):
    model = ModelSpec.of(model_dir).build().train()
    ids = torch.arange(8)[None]
    assert torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)


def test_lora_trains_adapters_alone(model_dir):
    model = ModelSpec.of(model_dir, lora={"r": 2}).build()
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert trained and all("lora_" in name for name in trained)
    ids = torch.arange(8)[None]
    expected = AutoModelForCausalLM.from_pretrained(model_dir)(input_ids=ids).logits
    assert torch.allclose(model(input_ids=ids).logits, expected, atol=1e-5)  # a fresh adapter changes nothing
    assert type(causal_lm(model)).__name__ in ("GPT2LMHeadModel", "LlamaForCausalLM")


def test_lora_without_peft_names_the_extra(model_dir, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match=r"lm-envs\[lora\]"):
        ModelSpec.of(model_dir, lora={}).build()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dtype": "float16"}, "float32, bfloat16"),
        ({"attention": "flash"}, "auto, sdpa, eager"),
        ({"lora": {"lora_dropout": 0.1}}, "lora_dropout"),
    ],
)
def test_bad_spec(model_dir, arguments, message):
    with pytest.raises(ValueError, match=message):
        ModelSpec.of(model_dir, **arguments)


def test_head_is_that_of_the_model(model_dir):
    lm = ModelSpec.of(model_dir).build()
    check_head(lm)
    lm.config.logit_scale = 2.0  # a scale that this family doesn't apply
    with pytest.raises(NotImplementedError, match=type(lm).__name__):
        check_head(lm)


def test_head_knows_softcapping_and_scaling():
    from transformers import Gemma2Config, Gemma2ForCausalLM, GraniteConfig, GraniteForCausalLM

    small = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
             "num_key_value_heads": 1, "initializer_range": 1.0}  # fmt: skip
    check_head(Gemma2ForCausalLM(Gemma2Config(**small, head_dim=8, final_logit_softcapping=0.5)).eval())
    check_head(GraniteForCausalLM(GraniteConfig(**small, logits_scaling=3.0)).eval())


def test_context_and_window():
    assert context_limit(config_of("gpt2")) == context_limit(config_of("llama")) == 64
    assert stable_context(config_of("gpt2")) is None
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 32, "long_factor": [1.0], "short_factor": [1.0]}
    long = LlamaConfig(max_position_embeddings=128, rope_parameters=rope)
    assert (context_limit(long), stable_context(long)) == (128, 32)
    dynamic = LlamaConfig(max_position_embeddings=128, rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0})
    assert (context_limit(dynamic), stable_context(dynamic)) == (None, 128)
    assert sliding_window(config_of("llama")) is None
    from transformers import MistralConfig, Qwen2Config

    assert sliding_window(MistralConfig(sliding_window=16)) == 16
    assert sliding_window(Qwen2Config(use_sliding_window=False, sliding_window=16)) is None
