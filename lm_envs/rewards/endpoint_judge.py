"""`EndpointJudge`: a judge behind a server that speaks OpenAI's chat-completions protocol."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lm_envs.rewards.criterion import Criterion
from lm_envs.rewards.judging import CriterionJudge
from lm_envs.rewards.numbers import finite
from lm_envs.types import Exchange

if TYPE_CHECKING:
    from lm_envs.endpoint import Answer

_TOP = 20  # alternatives that are asked for at each position; what OpenAI gives at most
_MAX_TOKENS = 16  # of an answer
_REFUSED = (400, 422)  # what servers answer to a parameter that they don't know
_NUMBER = re.compile(r"(?<![\w.,-])[0-9]{1,2}(?:\.[0-9]{1,3})?(?!\w|[.,][0-9])")
_LABELLED = re.compile(r"\b(?:score|rating|grade|answer)\b\W{0,8}([0-9](?:\.[0-9]{1,3})?)(?!\w|[.,][0-9])", re.I)


class EndpointJudge(CriterionJudge):
    """The score of the reply by a criterion, given by a model behind an endpoint.

    The model reads what :class:`Judge` lets a local one read. Where the server gives log-probabilities, with p the probabilities of the
    digits 1 to k where the answer has its score, scaled to sum to 1, ``reward = (Σ i · p_i - 1) / (k - 1)``; else ``reward = (score - 1)
    / (k - 1)`` with the number that the answer names. In [0, 1].

        gym.make("lm_envs/Dialogue-v0", reward="endpoint_judge", reward_kwargs={
            "criterion": "helpfulness", "url": "https://api.openai.com/v1", "model": "gpt-4o-mini", "key_variable": "OPENAI_API_KEY",
            "requests_per_minute": 300, "cost_budget": 2.0, "prices": [0.15, 0.6], "cache": "judgements.sqlite",
        })

    All replies of a step are sent at once, ``concurrency`` at a time, equal ones once. A server that refuses to give log-probabilities
    (status 400 or 422) is asked without them from then on, and one that ignores the wish is read by its answers' numbers: scores of one
    server are of one kind, those of two needn't be.

    An answer without a number within the scale, or with several, is not kept in the cache and gets ``unparsable``: by default 0, the lowest
    reward, so that a reply which keeps the judge from answering never pays. The first one warns; :attr:`unparsed` counts them.

    Args:
        criterion: the name of one that comes with this package, a file, a mapping, or a :class:`Criterion`.
        url: the protocol's root, such as ``"http://localhost:8000/v1"``.
        model: the model's name there.
        context: messages before the reply that are shown.
        max_chars: of the text that is quoted.
        logprobs: whether to ask for log-probabilities.
        parameters: further parameters of a request, which replace those by default (``temperature`` 0 and ``max_tokens`` 16); ``None``
            leaves one out. Models that think first need more tokens: ``{"max_tokens": None, "max_completion_tokens": 2000}``.
        unparsable: the reward of a reply whose judgement can't be read; ``None`` raises an error instead.
        name: the name it is reported under; by default the criterion's.
        endpoint: further arguments of :class:`lm_envs.endpoint.ChatEndpoint`: ``key`` or ``key_variable``, ``timeout``, ``retries``,
            ``concurrency``, ``requests_per_minute``, ``token_budget``, ``cost_budget``, ``prices``, ``cache``.

    Raises:
        DataError: for an unknown or malformed criterion.
        ValueError: for a wrong argument. When called, ``EndpointError`` and ``BudgetSpent``, see :class:`lm_envs.endpoint.ChatEndpoint`;
            the answers that came before are in the cache.
    """

    def __init__(
        self,
        criterion: str | Path | Mapping[str, Any] | Criterion = "helpfulness",
        *,
        url: str,
        model: str,
        context: int = 4,
        max_chars: int = 8000,
        logprobs: bool = True,
        parameters: Mapping[str, Any] | None = None,
        unparsable: float | None = 0.0,
        name: str | None = None,
        **endpoint: Any,
    ) -> None:
        from lm_envs.endpoint import ChatEndpoint  # brings a library for HTTP, which others don't need

        self.criterion = Criterion.load(criterion)
        self.name = name or self.criterion.name
        if context < 0 or max_chars < 1:
            raise ValueError(f"context must be at least 0 and max_chars at least 1; got {context!r} and {max_chars!r}")
        self.endpoint = ChatEndpoint(url, model, **endpoint)
        self.unparsed = 0
        self._context = context
        self._max_chars = max_chars
        self._unparsable = None if unparsable is None else finite("unparsable", unparsable)
        self._parameters = {"temperature": 0, "max_tokens": _MAX_TOKENS, **(parameters or {})}
        self._logprobs = {"logprobs": True, "top_logprobs": _TOP} if logprobs else {}

    def by_criterion(self, exchanges: Sequence[Exchange], criteria: Sequence[Criterion]) -> list[list[float]]:
        """Scores in [0, 1] by any criteria, ``(len(criteria), len(exchanges))``, from requests that are sent together."""
        asked = [(criterion, self._body(exchange, criterion)) for criterion in criteria for exchange in exchanges]
        rewards = iter(self._reward(criterion, answer) for (criterion, _), answer in zip(asked, self._answers(asked), strict=True))
        return [[next(rewards) for _ in exchanges] for _ in criteria]

    def _body(self, exchange: Exchange, criterion: Criterion) -> dict[str, Any]:
        messages = criterion.messages(exchange, context=self._context, max_chars=self._max_chars)
        return {"messages": list(messages), **{key: value for key, value in self._parameters.items() if value is not None}}

    def _answers(self, asked: Sequence[tuple[Criterion, dict[str, Any]]]) -> list[Answer]:
        from lm_envs.endpoint import EndpointError

        points = {criterion.points for criterion, _ in asked}

        def accept(answer: Answer) -> bool:
            return all(score(answer, each) is not None for each in points)

        while True:
            wish = self._logprobs
            try:
                return self.endpoint.complete_all([{**body, **wish} for _, body in asked], accept)
            except EndpointError as error:
                if not wish or error.status not in _REFUSED:
                    raise
                self._logprobs = {}  # if it was something else, the request without them fails as well

    def _reward(self, criterion: Criterion, answer: Answer) -> float:
        found = score(answer, criterion.points)
        if found is not None:
            return criterion.reward(found)
        if self._unparsable is None:
            raise ValueError(f"the judge's answer holds no score from 1 to {criterion.points}: {ascii(answer.content[:200])}")
        if not self.unparsed:
            warnings.warn(
                f"reward model {self.name!r}: the judge's answer holds no score from 1 to {criterion.points}, so the reward is "
                f"{self._unparsable:g}: {ascii(answer.content[:200])}",
                stacklevel=2,
            )
        self.unparsed += 1
        return self._unparsable


def score(answer: Answer, points: int) -> float | None:
    """The score of an answer, from 1 to ``points``: expected where there are log-probabilities, else named; ``None`` without one."""
    named = _named(answer.content, points)
    if named is None:
        return None
    digits = {str(number): number for number in range(1, points + 1)}
    text = ""
    for alternatives in answer.alternatives:
        chosen = alternatives[0][0].strip()
        text += alternatives[0][0]
        if chosen in digits and digits[chosen] == named and _named(text, points) == named:
            weights = [(digits[token.strip()], math.exp(logprob)) for token, logprob in alternatives if token.strip() in digits]
            total = sum(weight for _, weight in weights)
            return sum(number * weight for number, weight in weights) / total if total > 0 else named
    return named


def _named(text: str, points: int) -> float | None:
    """The number that a text names as its score: the only one, or the only one behind a word for it; ``None`` if it isn't on the scale."""
    text = re.sub(rf"(?<=[0-9])\s*(?:/|out of)\s*{points}\b", "", text[:20_000])
    for found in (_LABELLED.findall(text), _NUMBER.findall(text)):
        numbers = {float(number) for number in found}
        if numbers:
            (number,) = numbers if len(numbers) == 1 else (math.nan,)
            return number if 1 <= number <= points else None
    return None
