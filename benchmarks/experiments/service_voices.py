"""The service desk's expert before customers with a language model's voice: ``python -m benchmarks service-voices``.

The agenda stays the truth: each message is drafted by templates, put into the model's words, and dropped for the draft where it changes
what is said. Measured are how often that happens and why, what becomes of the expert beside the scripted customer in the same
scenarios, and how long a message takes.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import current_process, get_context
from statistics import mean
from typing import Any

from lm_envs.envs.customer_service import metrics
from lm_envs.envs.customer_service.env import CustomerServiceEnv
from lm_envs.envs.customer_service.llm_customer import Voice, checked
from lm_envs.types import Split
from lm_envs.validation import Estimate, estimate

INTENTS = ("status", "late", "cancel", "return", "damaged", "address", "loyalty", "billing")
VERDICTS = ("kept", "as drafted", "empty", "a detail is lost", "a detail is made up", "another meaning")
"""What becomes of a message: only ``"kept"`` ones are the model's own words."""

_DETAIL = re.compile(r"\d{3,}|\d+\.\d\d|[\w.+-]+@[\w-]+\.[\w.-]+")


@dataclass(frozen=True)
class Message:
    """A message that a voice was asked for.

    Attributes:
        acts: what it is made of.
        draft: in the templates' words.
        text: in the voice's.
        verdict: one of :data:`VERDICTS`.
        seconds: until the voice had found its words, by the clock.
        cpu: the same of this process's processor time; nothing of a server's.
    """

    acts: tuple[str, ...]
    draft: str
    text: str
    verdict: str
    seconds: float
    cpu: float


@dataclass
class Recorder:
    """A voice that notes what another one says, and what becomes of that."""

    voice: Voice
    messages: list[Message] = field(default_factory=list)

    def say(
        self, acts: Sequence[str], slots: Mapping[str, str], history: Sequence[tuple[str, str]], persona: Mapping[str, Any], draft: str
    ) -> str:
        """What the voice says; see :class:`Voice`."""
        began, cpu = time.perf_counter(), time.process_time()
        text = self.voice.say(acts, slots, history, persona, draft)
        spent = time.perf_counter() - began, time.process_time() - cpu
        self.messages.append(Message(tuple(acts), draft, text, verdict(text, slots, draft, acts), *spent))
        return text

    def __deepcopy__(self, memo: dict[int, Any]) -> Recorder:
        return self  # what it noted is wanted afterwards


def verdict(text: str, slots: Mapping[str, str], draft: str, acts: Sequence[str]) -> str:
    """One of :data:`VERDICTS` for a voice's text.

    Args:
        text: what the voice made of it.
        slots: details that must be in it.
        draft: what is to be said.
        acts: what that is made of.
    """
    if " ".join(text.split()) in ("", '"'):
        return "empty"
    if " ".join(text.split()) == " ".join(draft.split()):
        return "as drafted"
    if checked(text, slots, draft, acts) != draft:
        return "kept"
    low, plain = text.lower(), draft.lower()
    if any(value.lower() in plain and value.lower() not in low for value in slots.values() if value):
        return "a detail is lost"
    if not set(_DETAIL.findall(plain)).issuperset(_DETAIL.findall(low)):
        return "a detail is made up"
    return "another meaning"


@dataclass(frozen=True)
class Results:
    """What came of it.

    Attributes:
        messages: all that the voice was asked for.
        ends: the metrics at the end of each episode with the voice.
        scripted: the same with the scripted customer.
    """

    messages: list[Message]
    ends: list[dict[str, float]]
    scripted: list[dict[str, float]]

    def shares(self) -> dict[str, Estimate]:
        """The share of messages with each verdict."""
        return {one: estimate([float(message.verdict == one) for message in self.messages], proportion=True) for one in VERDICTS}

    def rows(self) -> list[tuple[str, str, str]]:
        """What is shown: name, with the voice, with the scripted customer."""
        rows = [
            (name, _shown([end[name] for end in self.ends], share), _shown([end[name] for end in self.scripted], share))
            for name, share in (("success", True), ("satisfaction", False), ("turns", False), ("violations", False))
        ]
        rows += [(f"messages: {one}", _text(share), "-") for one, share in self.shares().items()]
        seconds, cpu = mean(message.seconds for message in self.messages), mean(message.cpu for message in self.messages)
        return [*rows, ("seconds a message", f"{seconds:.2f} ({cpu:.2f} of this process's processor time)", "0")]


def measure(
    voice: Voice,
    *,
    episodes: int,
    intents: Sequence[str] = INTENTS,
    split: Split = "test",
    max_needs: int = 1,
    jobs: int = 1,
    on_episode: Callable[[int, int], Any] = lambda done, of: None,
) -> Results:
    """Let the expert play the same scenarios with the voice and without.

    Args:
        voice: the customer's; it is pickled where there are several jobs.
        episodes: with seeds 0, 1, …; the intents take turns.
        intents: what customers come for.
        split: whose scenarios.
        max_needs: the most requests in a conversation.
        jobs: episodes at a time, a process each.
        on_episode: called with how many of the episodes are done, and how many there are.
    """
    one = partial(_episode, voice, intents, split, max_needs)
    played = []
    with ProcessPoolExecutor(jobs, get_context("spawn")) if jobs > 1 else nullcontext() as pool:
        for results in map(one, range(episodes)) if pool is None else pool.map(one, range(episodes)):
            played.append(results)
            on_episode(len(played), episodes)
    return Results(
        [message for each in played for message in each.messages],
        [end for each in played for end in each.ends],
        [end for each in played for end in each.scripted],
    )


def _episode(voice: Voice, intents: Sequence[str], split: Split, max_needs: int, number: int) -> Results:
    """One episode with the voice and one without."""
    recorder = Recorder(_kept(voice))
    ends = []
    for customer in (recorder, "simulated"):
        env = CustomerServiceEnv(intents=[intents[number % len(intents)]], split=split, max_needs=max_needs, customer=customer)
        ends.append(metrics.success(env, _expert(env), number))
    return Results(recorder.messages, ends[:1], ends[1:])


_VOICES: dict[str, Voice] = {}


def _kept(voice: Voice) -> Voice:
    """The voice that this process has had already, so that its model isn't loaded with each episode."""
    if current_process().name == "MainProcess":
        return voice
    return _VOICES.setdefault(repr(voice), voice)


def plain(results: Results) -> dict[str, Any]:
    """The results as plain data, the messages included."""
    return {
        "verdicts": dict(Counter(message.verdict for message in results.messages)),
        "rows": results.rows(),
        "messages": [vars(message) for message in results.messages],
    }


def markdown(results: Results) -> str:
    """The rows as a table."""
    head = [("", "model's voice", "scripted customer"), ("---",) * 3]
    return "\n".join("| " + " | ".join(row) + " |" for row in (*head, *results.rows())) + "\n"


def _expert(env: CustomerServiceEnv) -> metrics.Policy:
    return lambda messages: env.expert_reply()


def _shown(values: Sequence[float], share: bool) -> str:
    return _text(estimate(values, proportion=share))


def _text(value: Estimate) -> str:
    return f"{value.mean:.2f} [{value.low:.2f}, {value.high:.2f}]"
