"""The chunked vocabulary beside the plain computation: values, first and second derivatives, and how large its arrays get."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Categorical, kl_divergence
from torch.utils._python_dispatch import TorchDispatchMode

from agents import vocabulary
from agents.vocabulary import Shaping, TokenCategorical, log_prob_and_entropy

MASK = torch.tensor([True, *[False] * 9])
SHAPING = Shaping(0.7, MASK)
CHUNKS = [1, 30, 10_000]
KEPT = [0, 2**27]


def shape(logits):
    return (logits.float() / 0.7).masked_fill(MASK, -1e9)


class Problem:
    """A head whose logits are scaled and capped, some states, and actions."""

    def __init__(self, n=7, dtype=torch.float32, seed=0):
        generator = torch.Generator().manual_seed(seed)
        self.states = torch.randn(n, 6, generator=generator).to(dtype).requires_grad_()
        self.weight = torch.randn(12, 6, generator=generator).to(dtype).requires_grad_()
        self.actions = torch.randint(1, 10, (n,), generator=generator)
        self.mix = torch.randn(2, n, generator=generator)

    def project(self, states):
        return 3 * torch.tanh(states @ self.weight.T * 0.5 / 3)[:, :10]

    def plain(self):
        distribution = Categorical(logits=shape(self.project(self.states)))
        return distribution.log_prob(self.actions), distribution.entropy()


def loss(results, mix):
    log_prob, entropy = results
    return (log_prob.exp() * mix[0]).sum() + (entropy**2 * mix[1]).sum()


def test_an_entropy_without_weight_and_a_forbidden_action():
    problem = Problem()
    problem.actions[2] = 0
    gradients = []
    for log_prob, entropy in (log_prob_and_entropy(problem.states, problem.actions, problem.project, SHAPING, 10), problem.plain()):
        gradients.append(torch.autograd.grad((log_prob * problem.mix[0]).sum() + 0.0 * entropy.sum(), [problem.states, problem.weight]))
    for ours, plain in zip(*gradients, strict=True):
        assert torch.allclose(ours, plain, atol=1e-6)


@pytest.fixture(params=[(chunk, kept) for chunk in CHUNKS for kept in KEPT], ids=str)
def limits(request, monkeypatch):
    monkeypatch.setattr(vocabulary, "CHUNK", request.param[0])
    monkeypatch.setattr(vocabulary, "KEPT_BYTES", request.param[1])


def test_log_prob_and_entropy_and_their_gradients(limits):
    problem = Problem()
    results = []
    for values in (log_prob_and_entropy(problem.states, problem.actions, problem.project, SHAPING, 10), problem.plain()):
        gradients = torch.autograd.grad(loss(values, problem.mix), [problem.states, problem.weight])
        results.append([*values, *gradients])
    for ours, plain in zip(*results, strict=True):
        assert torch.allclose(ours, plain, atol=1e-6)
    with torch.no_grad():
        values = log_prob_and_entropy(problem.states, problem.actions, problem.project, SHAPING, 10)
        assert torch.allclose(torch.stack(values), torch.stack(results[1][:2]), atol=1e-6)


def test_frozen_heads_and_frozen_states(limits):
    for frozen in ("states", "weight"):
        problem = Problem()
        getattr(problem, frozen).requires_grad_(False)
        free = problem.weight if frozen == "states" else problem.states
        ours = log_prob_and_entropy(problem.states, problem.actions, problem.project, SHAPING, 10)
        gradients = [torch.autograd.grad(loss(values, problem.mix), free)[0] for values in (ours, problem.plain())]
        assert torch.allclose(*gradients, atol=1e-6)


def test_autocast_is_the_same_in_backward(limits):
    problem = Problem()

    def project(states):
        with torch.autocast("cpu", torch.bfloat16):
            logits = problem.project(states)
        assert logits.dtype == torch.bfloat16
        return logits

    plain = Categorical(logits=shape(project(problem.states)))
    values = log_prob_and_entropy(problem.states, problem.actions, project, SHAPING, 10)
    results = [
        torch.autograd.grad(loss(pair, problem.mix), [problem.states, problem.weight])
        for pair in (values, (plain.log_prob(problem.actions), plain.entropy()))
    ]
    for ours, expected in zip(*results, strict=True):
        assert torch.allclose(ours, expected, atol=2e-2) and ours.dtype == torch.float32


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 64), st.booleans(), st.integers(0, 10**6))
def test_any_sizes(n, chunk, keep, seed):
    problem = Problem(n, seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "CHUNK", chunk)
        patch.setattr(vocabulary, "KEPT_BYTES", 2**27 if keep else 0)
        pairs = [log_prob_and_entropy(problem.states, problem.actions, problem.project, SHAPING, 10), problem.plain()]
        ours, plain = (torch.autograd.grad(loss(pair, problem.mix), problem.weight)[0] for pair in pairs)
    assert torch.allclose(torch.stack(pairs[0]), torch.stack(pairs[1]), atol=1e-5)
    assert torch.allclose(ours, plain, atol=1e-4)


def both(problem):
    """Our distribution, with and without gradients, and the plain one."""
    ours = TokenCategorical(problem.states, problem.project, SHAPING, 10)
    with torch.no_grad():
        old = TokenCategorical(problem.states, problem.project, SHAPING, 10)
    return ours, old, Categorical(logits=shape(problem.project(problem.states)))


def test_the_distribution_is_a_categorical(limits):
    problem = Problem()
    for ours in both(problem)[:2]:
        plain = both(problem)[2]
        assert torch.allclose(ours.log_prob(problem.actions), plain.log_prob(problem.actions), atol=1e-6)
        assert torch.allclose(ours.entropy(), plain.entropy(), atol=1e-6)
        assert torch.allclose(ours.probs, plain.probs, atol=1e-6) and torch.equal(ours.mode, plain.mode)
        assert torch.allclose(ours.logits[:, 1:], plain.logits[:, 1:], atol=1e-6)
        assert ours.probs[:, 0].max() == 0
        assert ours.sample((3,)).shape == (3, 7)


def test_divergences_and_their_second_derivatives(limits):
    """As stock TRPO takes them: at the old policy, then along a vector."""
    problem, other = Problem(), Problem(seed=1)
    vector = torch.linspace(-1, 1, problem.weight.numel()).view_as(problem.weight)
    results = []
    for distribution, old in (both(problem)[:2], (both(problem)[2], Categorical(logits=shape(problem.project(problem.states)).detach()))):
        divergence = kl_divergence(distribution, old).mean()
        (gradient,) = torch.autograd.grad(divergence, problem.weight, create_graph=True)
        (product,) = torch.autograd.grad((gradient * vector).sum(), problem.weight, retain_graph=True)
        (again,) = torch.autograd.grad((gradient * vector).sum(), problem.weight, retain_graph=True)
        assert torch.equal(product, again)
        (objective,) = torch.autograd.grad(distribution.log_prob(problem.actions).mean(), problem.weight)
        results.append((divergence, gradient, product, objective))
    for ours, plain in zip(*results, strict=True):
        assert torch.allclose(ours, plain, atol=1e-6)
    assert results[0][2].norm() > 1e-3
    theirs = [both(other)[i] for i in (1, 2)]
    with torch.no_grad():
        assert torch.allclose(kl_divergence(both(problem)[0], theirs[0]), kl_divergence(both(problem)[2], theirs[1]), atol=1e-5)


def test_an_old_distribution_outlives_a_step(limits):
    problem = Problem()
    old = both(problem)[1]
    before = old.log_prob(problem.actions)
    with torch.no_grad():
        problem.weight += 1
    assert torch.equal(old.log_prob(problem.actions), before)
    assert kl_divergence(both(problem)[0], old).min() > 0


class Largest(TorchDispatchMode):
    """The largest array that any operation returns, in elements."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, (tuple, list)) else [result]:
            if torch.is_tensor(value):
                self.elements = max(self.elements, value.untyped_storage().nbytes() // value.element_size())
        return result


def test_no_array_grows_with_the_number_of_transitions(monkeypatch):
    """Beyond what is kept, arrays have the size of a chunk or of the head."""
    hidden, tokens, rows = 4, 500, 16
    monkeypatch.setattr(vocabulary, "CHUNK", rows * tokens)
    monkeypatch.setattr(vocabulary, "KEPT_BYTES", 0)
    weight = torch.randn(tokens, hidden, requires_grad=True)

    def work(n, what):
        states, actions = torch.randn(n, hidden, requires_grad=True), torch.randint(0, tokens, (n,))

        def project(part):
            return part @ weight.T

        with Largest() as largest:
            if what == "distribution":
                ours = TokenCategorical(states, project, Shaping(), tokens)
                (ours.log_prob(actions) + ours.entropy() + kl_divergence(ours, ours)).sum().backward()
            elif what == "update":
                torch.stack(log_prob_and_entropy(states, actions, project, Shaping(), tokens)).sum().backward()
            else:
                with torch.no_grad():
                    log_prob_and_entropy(states, actions, project, Shaping(), tokens)
        return largest.elements

    for what in ("update", "distribution", "no gradient"):
        assert work(20 * rows, what) == rows * tokens, what
    monkeypatch.setattr(vocabulary, "KEPT_BYTES", 2**30)
    assert work(20 * rows, "update") == 20 * rows * tokens
