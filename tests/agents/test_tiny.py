import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

import lm_envs  # noqa: F401
from agents.tiny import FAMILIES, Args, build, converse, let_copy, train_tokenizer
from lm_envs import assets


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_equal_seeds_give_equal_files(tmp_path, one_thread):
    args = Args(characters=4000, epochs=1, vocab_size=400, hidden_size=48, layers=1, threads=1)
    for out in ("one", "two"):
        build(args, tmp_path / out)
    for file in ("model.safetensors", "tokenizer.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    build(Args(**{**vars(args), "seed": 1}), tmp_path / "other")
    assert (tmp_path / "other/model.safetensors").read_bytes() != (tmp_path / "one/model.safetensors").read_bytes()


def test_conversations_are_the_environments_own():
    env = gym.make("lm_envs/CustomerService-v0").unwrapped
    for opening, turns in converse(env, 3000, np.random.default_rng(0), expert_share=1.0):
        assert opening[0]["role"] == "system" and turns
        assert all(message["role"] in ("user", "tool") for _, following in turns for message in following)


def test_the_tokenizer_writes_any_text():
    tokenizer = train_tokenizer(iter(["a b c"] * 9), 300)
    for text in ("", "🙂 مرحبا 今日は\n\t", "<|end|"):
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


@pytest.mark.parametrize("said", ["4411", "C17", "BS3 4QT", "Leroy Lewis", "mia.reed@post.example"])
def test_what_somebody_said_has_the_same_tokens_in_a_call(said):
    corpus = [f"My number is {said}, I said {said}.", f'{{"name": "find_customer", "arguments": {{"query": "{said}"}}}}'] * 9
    tokenizer = train_tokenizer(iter(corpus), 400)
    words, call = (tokenizer.tokenize(text) for text in corpus[:2])
    tokens = tokenizer.tokenize(said)
    for text in (words, call):
        assert any(text[at : at + len(tokens)] == tokens for at in range(len(text)))


def test_a_new_model_copies(one_thread):
    """Tokens in random order, and again: after one of them comes what came after it before."""
    torch.manual_seed(0)
    shape = {"hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 1000}
    rope = {"rope_type": "default", "rope_theta": 100_000.0}
    model = LlamaForCausalLM(LlamaConfig(**shape, attention_bias=True, tie_word_embeddings=True, rope_parameters=rope)).eval()
    row = torch.stack([torch.randperm(1000)[:20] for _ in range(8)]).repeat(1, 2)
    with torch.no_grad():
        unable = (model(row).logits[:, 20:-1].argmax(-1) == row[:, 21:]).float().mean()
        let_copy(model, torch.Generator().manual_seed(0))
        able = (model(row).logits[:, 20:-1].argmax(-1) == row[:, 21:]).float().mean()
    assert unable < 0.1 and able > 0.5


def test_the_bundled_model():
    folder = Path(assets.path("tiny"))
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 8_000_000
    training = json.loads((folder / "training.json").read_text())
    assert training["families"] == list(FAMILIES)
    assert {field: training[field] for field in vars(Args())} == vars(Args()), "retrain it: make tiny"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)
    assert model.get_output_embeddings().out_features == len(tokenizer)
    assert all(tensor.isfinite().all() for tensor in load_file(folder / "model.safetensors").values())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_bundled_model_answers_in_every_family(family):
    """Greedy replies end by themselves, within the limit of tokens, and are words."""
    folder = assets.path("tiny")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    env = gym.make(f"lm_envs/{family}Tokens-v0", split="test").unwrapped
    stopped = 0
    for seed in range(6):
        observation, _ = env.reset(seed=seed)
        info = {}
        while not info:
            ids = torch.tensor(observation["input_ids"][: observation["attention_mask"].sum()])[None]
            with torch.no_grad():
                logits = model(ids).logits[0, -1]
            logits[torch.from_numpy(env.action_space.forbidden)] = -1e9
            action = int(logits.argmax())
            observation, _, _, _, info = env.step(action)
        stopped += action in env.chat.stop_ids
        reply = next(message["content"] for message in env.env.messages if message["role"] == "assistant")
        assert len(reply.split()) >= 2
    assert stopped >= 5
