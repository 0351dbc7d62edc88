"""Fixtures: folders of tiny random models."""

from __future__ import annotations

import pytest
import torch
from transformers import GPT2LMHeadModel, LlamaForCausalLM

from lm_envs.spaces import TokenSpace
from tests.agents.toys import FORBIDDEN, VOCAB, config_of, toy_observation_space


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model_dirs(tmp_path_factory):
    """Folders of a random GPT-2 (with dropout) and a random Llama, large enough weights that positions and contexts matter."""
    folders = {}
    for kind, cls in (("gpt2", GPT2LMHeadModel), ("llama", LlamaForCausalLM)):
        torch.manual_seed(7)
        folders[kind] = str(tmp_path_factory.mktemp("models") / kind)
        cls(config_of(kind)).save_pretrained(folders[kind])
    return folders


@pytest.fixture(params=["gpt2", "llama"])
def model_dir(request, model_dirs):
    return model_dirs[request.param]


@pytest.fixture
def observation_space():
    return toy_observation_space()


@pytest.fixture
def action_space():
    return TokenSpace(VOCAB, FORBIDDEN)
