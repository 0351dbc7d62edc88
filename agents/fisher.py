"""Products of a policy's Fisher matrix and vectors, for natural gradients and TRPO.

At the policy that a KL divergence is taken from, its Hessian is the Fisher matrix

    F = 1/n sum over transitions of J^T (diag p - p p^T) J        J: derivative of the n logits by the parameters, p: probabilities

(J. Martens, New Insights and Perspectives on the Natural Gradient Method, 2020, section 9), so that F v takes the derivative of the logits
along v and one backward pass, and no second derivative of a softmax over the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.autograd import forward_ad
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from agents.models import causal_lm
from agents.policy import CausalLMPolicy, Observations
from agents.vocabulary import rows_at_a_time

# Floats in the graph of a linearised transformer for each token, layer and hidden unit, measured on Llama; rough, and meant to be.
_GRAPH_FLOATS = 90


def graph_bytes(policy: CausalLMPolicy) -> int:
    """Roughly how large the graph is that :class:`Fisher` keeps of a batch, for each token that is read."""
    config = causal_lm(policy.model).config.get_text_config()
    return 4 * _GRAPH_FLOATS * config.num_hidden_layers * config.hidden_size


class _Linearized(NamedTuple):
    """Hidden states, and what is needed to differentiate them along vectors and back.

    Attributes:
        states: ``(n, hidden_size)``, with their graph.
        weights: any numbers of that shape that require gradients.
        gradients: of the sum of states times weights by each parameter that the states depend on, with their graph.
        depends: which parameters these are.
    """

    states: torch.Tensor
    weights: torch.Tensor
    gradients: list[torch.Tensor]
    depends: list[int]


class Fisher:
    """The Fisher matrix of a policy in given states.

    The gradient of the states is linear in the weights they are summed with, so that differentiating it by these gives the
    derivative along a vector (Pearlmutter's and Townsend's "double backward" trick): two passes of the cost of a backward pass each, with
    no forward pass. It needs attention that can be differentiated twice, hence PyTorch's math kernel. Logits are worked on a few rows at
    a time.

    Args:
        policy: at the parameters where the matrix is taken; they must not change as long as it is used.
        observations: in one batch, whose graph is then kept between products, or in several, whose graphs are made anew for each, so
            that memory is that of the largest batch.
        parameters: of the language model; all others are held fixed.
    """

    def __init__(self, policy: CausalLMPolicy, observations: Sequence[Observations], parameters: Sequence[nn.Parameter]) -> None:
        self._policy, self._observations, self._parameters = policy, observations, list(parameters)
        self._head = _Head(policy)
        in_head = {id(parameter): name for name, parameter in self._head.named_parameters()}
        self._head_names = {i: in_head[id(p)] for i, p in enumerate(self._parameters) if id(p) in in_head}
        self._kept = self._linearize(observations[0]) if len(observations) == 1 else None

    def __matmul__(self, vector: torch.Tensor) -> torch.Tensor:
        """The product with a flat vector, of the parameters' size altogether."""
        sizes = [parameter.numel() for parameter in self._parameters]
        tangents = [part.view_as(p) for part, p in zip(vector.split(sizes), self._parameters, strict=True)]
        product = torch.zeros_like(vector)
        gradients = [part.view_as(p) for part, p in zip(product.split(sizes), self._parameters, strict=True)]
        transitions = 0
        for observations in self._observations:
            at = self._kept or self._linearize(observations)
            transitions += len(at.states)
            self._add(at, tangents, gradients)
            del at  # before the next one is made
        return product.div_(transitions)

    def _linearize(self, observations: Observations) -> _Linearized:
        # Neither fused attention nor compiled layers have second derivatives.
        eager = torch.compiler.set_stance("force_eager")
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), eager, self._policy.without_checkpointing():
            states = self._policy.states(observations)
            if not states.requires_grad:  # only the head is trained
                return _Linearized(states, states, [], [])
            weights = torch.zeros_like(states, requires_grad=True)
            gradients = torch.autograd.grad(states, self._parameters, weights, create_graph=True, allow_unused=True)
        depends = [i for i, gradient in enumerate(gradients) if gradient is not None]
        return _Linearized(states, weights, [gradient for gradient in gradients if gradient is not None], depends)

    def _add(self, at: _Linearized, tangents: list[torch.Tensor], gradients: list[torch.Tensor]) -> None:
        """Add the sum over a batch's transitions to the gradients."""
        tangent = torch.zeros_like(at.states)
        if at.depends:
            (tangent,) = torch.autograd.grad(at.gradients, at.weights, [tangents[i] for i in at.depends], retain_graph=True)
        rows = rows_at_a_time(self._policy.num_tokens)
        back = []
        for part, move in zip(at.states.detach().split(rows), tangent.split(rows), strict=True):
            gradient, *of_head = self._through_head(part, move, tangents)
            back.append(gradient)
            for i, value in zip(self._head_names, of_head, strict=True):
                gradients[i] += value
        if not at.depends:
            return
        inputs = [self._parameters[i] for i in at.depends]
        through = torch.autograd.grad(at.states, inputs, torch.cat(back), retain_graph=at is self._kept)
        for i, value in zip(at.depends, through, strict=True):
            gradients[i] += value

    def _through_head(self, states: torch.Tensor, move: torch.Tensor, tangents: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """From the states' derivative along the vector to the gradients of the states and of the head's parameters."""
        with torch.enable_grad(), forward_ad.dual_level():
            states = states.detach().requires_grad_()
            parameters = [self._parameters[i] for i in self._head_names]
            duals = {name: forward_ad.make_dual(self._parameters[i], tangents[i]) for i, name in self._head_names.items()}
            logits, derivative = forward_ad.unpack_dual(functional_call(self._head, duals, (forward_ad.make_dual(states, move),)))
            p = torch.softmax(logits.detach(), dim=-1)
            weighted = p * derivative.detach()
            return torch.autograd.grad(logits, [states, *parameters], weighted - p * weighted.sum(dim=-1, keepdim=True))


class _Head(nn.Module):
    """From hidden states to the policy's logits, with the parameters that take part in it."""

    def __init__(self, policy: CausalLMPolicy) -> None:
        super().__init__()
        self.output = causal_lm(policy.model).get_output_embeddings()
        self._logits = policy.logits

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Logits ``(n, num_tokens)``."""
        return self._logits(states)
