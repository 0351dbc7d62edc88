"""Fisher products beside the Hessian of a KL divergence, differentiated twice."""

import pytest
import torch
from torch.distributions import Categorical, kl_divergence
from transformers import Gemma2Config, Gemma2ForCausalLM

from agents import vocabulary
from agents.fisher import Fisher
from agents.models import ModelSpec
from agents.packing import fold
from agents.policy import CausalLMPolicy
from lm_envs.spaces import TokenSpace
from tests.agents.toys import FORBIDDEN, LOGITS, VOCAB, random_observations, toy_observation_space


def policy_of(model, **kwargs):
    torch.manual_seed(0)
    policy = CausalLMPolicy(toy_observation_space(), TokenSpace(VOCAB, FORBIDDEN), lambda _: 1e-3, model=model, **kwargs)
    policy.set_training_mode(True)
    return policy


def hessian_product(policy, obs, parameters, vector):
    new = Categorical(logits=policy.get_distribution(obs).distribution.logits)
    old = Categorical(logits=new.logits.detach())
    gradients = torch.autograd.grad(kl_divergence(new, old).mean(), parameters, create_graph=True)
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    return torch.cat([p.flatten() for p in torch.autograd.grad((flat * vector).sum(), parameters, materialize_grads=True)])


def check(policy, obs, parameters=None, parts=(), tolerance=1e-4):
    parameters = parameters or policy.actor_parameters()
    vectors = torch.randn(2, sum(p.numel() for p in parameters), generator=torch.Generator().manual_seed(1))
    fisher = Fisher(policy, parts or [obs], parameters)
    products = [fisher @ vector for vector in vectors]
    for product, vector in zip(products, vectors, strict=True):
        expected = hessian_product(policy, obs, parameters, vector)
        assert expected.norm() > 1e-4
        assert (product - expected).norm() < tolerance * expected.norm()
    symmetric = pytest.approx(float(vectors[1] @ products[0]), rel=max(1e-3, 2 * tolerance), abs=1e-6)
    assert vectors[0] @ products[1] == symmetric
    assert all(vector @ product > 0 for vector, product in zip(vectors, products, strict=True))


@pytest.mark.parametrize(
    "options",
    [{}, {"temperature": 0.7}, {"checkpointing": True}, {"attention": "eager"}],
    ids=str,
)
def test_products_are_those_of_the_hessian(model_dir, options):
    check(policy_of(model_dir, **options), random_observations(24))


@pytest.mark.slow
def test_compiled_layers(model_dirs):
    """They have no second derivative."""
    policy, obs = policy_of(model_dirs["llama"], torch_compile={"backend": "aot_eager"}), random_observations(24)
    policy.evaluate_actions(obs, torch.arange(6, 30))[1].sum().backward()  # compiles them
    check(policy, obs)


def test_adapters(model_dir):
    pytest.importorskip("peft")
    check(policy_of(model_dir, lora={"r": 2, "init_lora_weights": False}), random_observations(24))


def test_parts_give_the_same_and_chunks_too(model_dir, monkeypatch):
    monkeypatch.setattr(vocabulary, "CHUNK", 5 * VOCAB)
    obs = random_observations(24)
    parts = [{key: value[i : i + 9] for key, value in obs.items()} for i in (0, 9, 18)]
    check(policy_of(model_dir), obs, parts=parts)
    check(policy_of(model_dir), obs, parts=[fold(part) for part in parts])


def test_any_choice_of_parameters(model_dirs):
    policy, obs = policy_of(model_dirs["gpt2"]), random_observations(24)
    head = policy.model.lm_head.weight  # the input embeddings as well
    check(policy, obs, [head])
    check(policy, obs, [p for p in policy.actor_parameters() if p is not head])
    policy = policy_of(ModelSpec.of(untied(Gemma2ForCausalLM)))
    check(policy, obs, [policy.model.lm_head.weight])
    policy.requires_grad_(False)
    policy.model.lm_head.weight.requires_grad_()
    check(policy, obs)


def untied(cls):
    """A model whose logits are capped, with a head of its own; the policy makes it anew from its configuration."""
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=LOGITS, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        head_dim=8, max_position_embeddings=64, final_logit_softcapping=2.0, attn_logit_softcapping=None, tie_word_embeddings=False,
        initializer_range=0.3,
    )  # fmt: skip
    return cls(config)


def test_capped_logits():
    policy = policy_of(ModelSpec.of(untied(Gemma2ForCausalLM), attention="eager"))
    check(policy, random_observations(24))


def test_autocast_is_near(model_dir):
    check(policy_of(model_dir, autocast=True), random_observations(24), tolerance=0.1)
