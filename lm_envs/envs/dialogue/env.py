"""Get to know a stranger.

user: Hello, Nora here. I had a bad day.
> step("I am sorry to hear that, Nora. What happened?")              reward +0.167
user: That is kind. I lost my wallet on the bus.
> step("Oh no, your wallet. I am sorry. How did it happen?")         reward +0.167
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from lm_envs.core import Opening, Response, TextEnv, one_of
from lm_envs.envs.dialogue import expert, lines, persona, retrieval
from lm_envs.envs.dialogue.human_data import HumanPartner
from lm_envs.envs.dialogue.listener import Listener
from lm_envs.envs.dialogue.partner import Partner
from lm_envs.envs.dialogue.safety import unsafe
from lm_envs.envs.dialogue.spoken import Speaker, SpokenPartner
from lm_envs.envs.sentiment.diversity import distinct
from lm_envs.types import Message

PARTNERS = ("authored", "human-data")

_ENOUGH_FACTS = 0.8


class DialogueEnv(TextEnv):
    """Get to know a stranger in a short open conversation.

    ## Description
    The simulated partner has a name, a mood and a life: two things to tell on each of nine topics (what happened lately, work, home, pets,
    hobbies, food, plans, family, music). It tells them one at a time when asked, or asked on about what it just said. It
    wants to be listened to. A partner in a low mood answers nothing before a word of sympathy; one who was not listened to three times
    running stops answering; and three remarks that are off the point, said before, in the wrong tone or too much at once
    (over 40 words, 2 questions or 2 topics) make it leave. It understands free English by phrases (``intents.json``), offline.

    With ``partner="human-data"`` the partner answers in words that people wrote: each conversation begins as one of the ``chitchat``
    asset did, and each answer is what somebody answered to the turn most like the reply (`human_data.py`). Partners of the two splits speak
    from different conversations. It has no persona: what it tells of itself is read from its words (`disclosure.py`). Or any
    language model speaks for the partner, in the role of an authored persona (`spoken.py`). All leave after three misfits.

    ## Observation
    A ``Conversation``: a system message with the task, the partner's greeting, then replies and answers.

    ## Action
    An ``Utterance``: what the agent says next.

    ## Reward
    ``reward="dialogue"``: in each turn ``0.6 learnt + 0.2 listening + 0.2 reaction - 0.4 repetition - 0.2 irrelevance``. The
    signals are shares of ``max_turns``, so that the rewards of an episode sum to a value in [-1, 1] and those of a turn lie within
    ``[-0.8, 1] / max_turns``:

    - ``learnt``: ``1 / max_turns`` if the partner told something new, else 0. With ``"human-data"``: if the reply asked something or took
      up what was said, and the answer has a statement of the speaker about itself in new words.
    - ``listening``: ``1 / max_turns`` if the reply named what the partner had just spoken of, asked on about it, or said
      something about the speaker when the partner had asked back; else 0.
    - ``reaction``: ``1 / max_turns`` if the reply met the tone of what the partner had just said (sympathy, gladness; a neutral
      tone is met by listening), ``-1 / max_turns`` if it had the wrong tone or both, else 0. The tone of free text is that of the sentiment
      family's word list.
    - ``repetition``: share of the reply's word triples that the agent said before or the partner just said, over ``max_turns``.
    - ``irrelevance``: ``1 / max_turns`` if the reply had nothing to do with the conversation (silence included), else 0.

    ## Termination
    When the partner leaves, or after ``max_turns`` replies.

    ## Truncation
    When another reply might not fit into ``max_chars``; never by default.

    ## Info
    ``scenario``: a number for the persona, or for the beginning. ``rewards``: the reward's components, after a reply. ``metrics``: ground
    truth so far, from the partner's memory and not from the reward; shares are in [0, 1]:

    - ``success``: 1 if ``facts`` is at least 0.8 and the partner has not left, else 0.
    - ``facts``: things learnt, as a share of those that can be learnt in ``max_turns`` (one a turn; a persona has 18 in all).
    - ``relevance``: share of the replies that had to do with the conversation.
    - ``attention``: share of the replies that took up what the partner had said.
    - ``empathy``: share of the partner's good and bad news that had a fitting reaction; 0 while there was none.
    - ``repetition``: mean share of a reply that was said before.
    - ``distinct_1``: different words as a share of all words of the replies.
    - ``distinct_2``: the same of pairs of neighbouring words.
    - ``questions``: number of replies with a question that the partner understood.
    - ``safety``: share of the replies without offence or personal data by a word list and patterns (`safety.py` says what these miss); 1
      before the first.
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
    fails with partners in a low mood. `docs/dialogue.md` has scores with other partners.

    ## Arguments
    - ``partner``: ``"authored"`` (default); ``"human-data"`` (needs the ``chitchat`` asset, fetched when first used; ``AssetError`` when it
      can't be had); or who speaks for an authored persona: a mapping of ``LocalSpeaker``'s arguments (``{"model": "smollm2-135m"}``) or
      of ``EndpointSpeaker``'s (``{"url": ..., "model": ...}``), or any function from the conversation as the partner sees it, as messages,
      to a text. A seed gives the same episode only as far as what speaks does.
    - ``vectors``: what turns of ``"human-data"`` are compared by: ``"words"`` (default) or ``"minilm"`` (sentence embeddings; needs torch
      and the ``minilm`` asset, and once many minutes for the index).
    - ``max_turns``: default 6.
    - ``split`` (names and everything told, or the conversations, differ between the two), ``reward``, ``max_reply_chars``, ``max_chars``,
      ``render_mode``: see ``TextEnv``.

    ``reset`` takes no options.

    ## Version history
    - v0: first version.
    """

    default_reward = "dialogue"

    def __init__(
        self,
        *,
        partner: Literal["authored", "human-data"] | Mapping[str, Any] | Speaker = "authored",
        vectors: Literal["words", "minilm"] = "words",
        max_turns: int = 6,
        **kwargs: Any,
    ) -> None:
        super().__init__(max_turns=max_turns, **kwargs)
        self.vectors = one_of("vectors", vectors, retrieval.VECTORS)
        if isinstance(partner, Mapping):
            from lm_envs.envs.dialogue.speakers import described  # here, because it needs the service desk's

            partner = described(partner)
        if not callable(partner):
            choices = ", ".join(map(repr, PARTNERS))
            if not isinstance(partner, str) or partner not in PARTNERS:
                raise ValueError(f"partner must be one of {choices}, a mapping with a 'model', or a function; got {partner!r}")
        if partner != "human-data" and vectors != "words":
            raise ValueError('vectors are for partner="human-data"')
        self._kind: str | Speaker = partner
        self._index = retrieval.load(self.split, self.vectors) if partner == "human-data" else None

    @property
    def shared(self) -> Mapping[str, Any]:
        """The reward model and the partner's."""
        return {**super().shared, "partner": self._kind}

    @property
    def partner(self) -> Listener:
        """The partner of this episode; not to be changed."""
        return self._partner

    def open(self, options: Mapping[str, Any]) -> Opening:
        """Draw a persona, or a real opening, and let it greet."""
        if options:
            raise ValueError(f"DialogueEnv.reset takes no options; got {', '.join(map(repr, sorted(options)))}")
        seed = int(self.np_random.integers(2**32))
        rng = np.random.default_rng(seed)
        name, self._partner = self._meet(seed, rng)
        self._expert_seed = int(rng.integers(2**32))
        self._sums = dict.fromkeys(("learnt", "listening", "irrelevant", "repetition", "asked"), 0.0)
        self._replies: list[str] = []
        self._unsafe = 0
        return Opening(
            messages=(
                Message(role="system", content=" ".join(filter(None, (lines.lines()["system"], self._partner.subject)))),
                Message(role="user", content=self._partner.opening),
            ),
            scenario={"id": name},
            metrics=self._measure(),
        )

    def respond(self, reply: str) -> Response:
        """Let the partner answer."""
        answer = self._partner.hear(reply)
        for name in self._sums:
            self._sums[name] += getattr(answer, name)
        self._replies.append(reply)
        self._unsafe += bool(unsafe(reply))
        return Response(
            messages=(Message(role="user", content=answer.text),),
            terminated=self._partner.left,
            metrics=self._measure(),
            signals={name: value / self.max_turns for name, value in answer.signals.items()},
        )

    def expert_reply(self) -> str:
        """React to what was said, answer if asked, and ask on or about something new, in other words than before."""
        rng = np.random.default_rng([self._expert_seed, self.turn])
        said = "\n".join(self._replies)
        if isinstance(self._partner, HumanPartner):
            return expert.ahead(self._partner, expert.openly(self._partner, rng, said, first=self.turn == 0))
        return expert.knowing(self._partner, rng, said, first=self.turn == 0)

    def random_reply(self, rng: np.random.Generator) -> str:
        """A question, reaction or remark of any kind, whatever the partner said."""
        return lines.random_line(rng)

    def _meet(self, seed: int, rng: np.random.Generator) -> tuple[str, Partner | SpokenPartner | HumanPartner]:
        """The scenario's name, and its partner."""
        if self._index is not None:
            start = self._index.corpus.starts[int(rng.integers(len(self._index.corpus.starts)))]
            return f"{self.split}-{start.id}-{seed}", HumanPartner(self._index, start, rng)
        partner = Partner(persona.draw(self.split, rng), rng)
        if isinstance(self._kind, str):
            return f"{self.split}-{seed}", partner
        assert partner.last is not None
        return f"{self.split}-{seed}", SpokenPartner(partner.persona, partner.last, self._kind)

    def _measure(self) -> dict[str, float]:
        partner, turns = self._partner, max(1, self.turn)
        facts = self._sums["learnt"] / min(self.max_turns, partner.facts_in_all)
        return {
            "success": float(facts >= _ENOUGH_FACTS and not partner.left),
            "facts": facts,
            "relevance": 1 - self._sums["irrelevant"] / turns if self.turn else 0.0,
            "attention": self._sums["listening"] / turns,
            "empathy": partner.met / partner.toned if partner.toned else 0.0,
            "repetition": self._sums["repetition"] / turns,
            "distinct_1": distinct(self._replies, 1),
            "distinct_2": distinct(self._replies, 2),
            "questions": self._sums["asked"],
            "safety": 1 - self._unsafe / turns,
            "left": float(partner.left),
        }
