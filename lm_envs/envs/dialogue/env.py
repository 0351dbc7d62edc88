"""Get to know a stranger.

user: Hello, Nora here. I had a bad day.
> step("I am sorry to hear that, Nora. What happened?")              reward +0.167
user: That is kind. I lost my wallet on the bus.
> step("Oh no, your wallet. I am sorry. How did it happen?")         reward +0.167
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lm_envs.core import Opening, Response, TextEnv
from lm_envs.envs.dialogue import lines, persona
from lm_envs.envs.dialogue.partner import Partner
from lm_envs.types import Message

_ENOUGH_FACTS = 0.8
_DETAIL_ODDS = 0.7


class DialogueEnv(TextEnv):
    """Get to know a stranger in a short open conversation.

    ## Description
    The simulated partner has a name, a mood and a life: two things to tell on each of nine topics (what happened lately, work, home, pets,
    hobbies, food, plans, family, music). It tells them one at a time when asked, or asked on about what it just said. It
    wants to be listened to. A partner in a low mood answers nothing before a word of sympathy; one who was not listened to three times
    running stops answering; and three remarks that are off the point, said before, in the wrong tone or too much at once
    (over 40 words, 2 questions or 2 topics) make it leave. It understands free English by phrases (``intents.json``), offline.

    ## Observation
    A ``Conversation``: a system message with the task, the partner's greeting, then replies and answers.

    ## Action
    An ``Utterance``: what the agent says next.

    ## Reward
    ``reward="dialogue"``: in each turn ``0.6 learnt + 0.2 listening + 0.2 reaction - 0.4 repetition - 0.2 irrelevance``. The
    signals are shares of ``max_turns``, so that the rewards of an episode sum to a value in [-1, 1] and those of a turn lie within
    ``[-0.8, 1] / max_turns``:

    - ``learnt``: ``1 / max_turns`` if the partner told something new, else 0.
    - ``listening``: ``1 / max_turns`` if the reply named what the partner had just spoken of, asked on about it, or said
      something about the speaker when the partner had asked back; else 0.
    - ``reaction``: ``1 / max_turns`` if the reply met the tone of what the partner had just said (sympathy, gladness; a neutral
      tone is met by listening), ``-1 / max_turns`` if it had the wrong tone or both, else 0.
    - ``repetition``: share of the reply's word triples that the agent said before or the partner just said, over ``max_turns``.
    - ``irrelevance``: ``1 / max_turns`` if the reply had nothing to do with the conversation (silence included), else 0.

    ## Termination
    When the partner leaves, or after ``max_turns`` replies.

    ## Truncation
    When another reply might not fit into ``max_chars``; never by default.

    ## Info
    ``scenario``: a number for the persona. ``rewards``: the reward's components, after a reply. ``metrics``: ground truth so far,
    from the partner's memory and not from the reward:

    - ``success``: 1 if ``facts`` is at least 0.8 and the partner has not left, else 0.
    - ``facts``: things learnt, as a share of those that can be learnt in ``max_turns`` (one a turn, 18 in all).
    - ``relevance``: share of the replies that had to do with the conversation.
    - ``attention``: share of the replies that took up what the partner had said.
    - ``empathy``: share of the partner's good and bad news that had a fitting reaction; 0 while there was none.
    - ``repetition``: mean share of a reply that was said before.
    - ``questions``: number of questions that the partner understood.
    - ``left``: 1 if the partner has left.
    - ``turns``: replies given.

    ## Scores
    Mean return and metrics in 1,000 episodes, seeds 0 to 999, the same on both splits to 0.01:

    | player | return | success | facts | relevance | turns |
    |---|---|---|---|---|---|
    | expert | 0.99 | 1.00 | 1.00 | 1.00 | 6.0 |
    | random | 0.04 | 0.00 | 0.18 | 0.48 | 4.9 |
    | no-op | -0.10 | 0.00 | 0.00 | 0.00 | 3.0 |

    Blind strategies (150 episodes, test split): a fixed list of questions 0.11; "how nice" before each 0.20; sympathy and gladness at
    once before each -0.07; all questions in one reply -0.14; "tell me more" every time 0.00; repeating the partner -0.22; a list of topic
    words -0.13. The best known trick repeats the partner's last word before the next question of a list: 0.51, and 0.6 of the facts; it
    fails with partners in a low mood.

    ## Arguments
    - ``max_turns``: default 6.
    - ``split`` (names and everything told differ between the two), ``reward``, ``max_reply_chars``, ``max_chars``,
      ``render_mode``: see ``TextEnv``.

    ``reset`` takes no options.

    ## Version history
    - v0: first version.
    """

    default_reward = "dialogue"

    def __init__(self, *, max_turns: int = 6, **kwargs: Any) -> None:
        super().__init__(max_turns=max_turns, **kwargs)

    def open(self, options: Mapping[str, Any]) -> Opening:
        """Draw a persona and let it greet."""
        if options:
            raise ValueError(f"DialogueEnv.reset takes no options; got {', '.join(map(repr, sorted(options)))}")
        seed = int(self.np_random.integers(2**32))
        rng = np.random.default_rng(seed)
        self._partner = Partner(persona.draw(self.split, rng), rng)
        self._expert_seed = int(rng.integers(2**32))
        self._sums = dict.fromkeys(("learnt", "listening", "irrelevant", "repetition", "asked"), 0.0)
        return Opening(
            messages=(
                Message(role="system", content=lines.lines()["system"]),
                Message(role="user", content=self._partner.opening),
            ),
            scenario={"id": f"{self.split}-{seed}"},
            metrics=self._measure(),
        )

    def respond(self, reply: str) -> Response:
        """Let the partner answer."""
        answer = self._partner.hear(reply)
        for name in self._sums:
            self._sums[name] += getattr(answer, name)
        signals = {
            "learnt": answer.learnt,
            "listening": answer.listening,
            "reaction": answer.reaction,
            "repetition": answer.repetition,
            "irrelevance": answer.irrelevant,
        }
        return Response(
            messages=(Message(role="user", content=answer.text),),
            terminated=self._partner.left,
            metrics=self._measure(),
            signals={name: value / self.max_turns for name, value in signals.items()},
        )

    def expert_reply(self) -> str:
        """React to what was said, answer if asked, and ask on or about something new, in other words than before."""
        rng = np.random.default_rng([self._expert_seed, self.turn])
        partner, table = self._partner, lines.lines()
        said = "\n".join(message["content"] for message in self.messages if message["role"] == "assistant")
        parts = []
        if self.turn == 0 and partner.last:
            parts.append(lines.pick(table["greet"][partner.last.tone], rng).format(name=partner.persona.name))
        elif partner.last:
            parts.append(lines.react(partner.last.tone, partner.last.key, rng, said))
        if partner.asked_back:
            parts.append(lines.pick(table["own"][partner.topic], rng, said))
        topic, told = partner.topic, partner.told
        rest = {other: count for other, count in told.items() if other != topic and count < 2}
        fresh = [other for other, count in rest.items() if count == min(rest.values())]
        if told[topic] == 1 and (not fresh or rng.random() < _DETAIL_ODDS):
            parts.append(lines.pick(table["follow"][topic], rng, said))
        else:
            parts.append(lines.pick(table["ask"][topic if told[topic] == 0 or not fresh else lines.pick(fresh, rng)], rng, said))
        return " ".join(parts)

    def random_reply(self, rng: np.random.Generator) -> str:
        """A question, reaction or remark of any kind, whatever the partner said."""
        return lines.random_line(rng)

    def _measure(self) -> dict[str, float]:
        partner, turns = self._partner, max(1, self.turn)
        facts = self._sums["learnt"] / min(self.max_turns, 2 * len(partner.told))
        return {
            "success": float(facts >= _ENOUGH_FACTS and not partner.left),
            "facts": facts,
            "relevance": 1 - self._sums["irrelevant"] / turns if self.turn else 0.0,
            "attention": self._sums["listening"] / turns,
            "empathy": partner.met / partner.toned if partner.toned else 0.0,
            "repetition": self._sums["repetition"] / turns,
            "questions": self._sums["asked"],
            "left": float(partner.left),
        }
