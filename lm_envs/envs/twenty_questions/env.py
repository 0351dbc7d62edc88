"""Find out by yes-or-no questions what someone thinks of.

user: I am thinking of something. What is it?
> step("Is it alive?")                                               reward +0.012
user: No: it is not alive.
> step("Is it a violin?")                                            reward +0.000
user: No, it is not a violin.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from math import ceil, log2
from pathlib import Path
from typing import Any

import numpy as np

from lm_envs.core import Opening, Response, TextEnv
from lm_envs.envs.twenty_questions import search
from lm_envs.envs.twenty_questions.table import table
from lm_envs.envs.twenty_questions.understanding import understand
from lm_envs.types import Message

_LAST_MOMENT = 0.5
_RANDOM_ODDS = (1 / 3, 1 / 3, 1 / 3)  # a question, a guess, a remark


class TwentyQuestionsEnv(TextEnv):
    """Find out by yes-or-no questions what someone thinks of.

    ## Description
    The other player thinks of one of 329 things (``things.json``) and answers questions about 100 attributes (``attributes.json``) by
    yes, no, or "sometimes", truly and in a sentence that tells how the question was understood. It understands free English by phrases
    (``understanding.json``), offline. What it cannot understand, two questions at once, and replies of over 240 characters get no
    answer, and cost a turn all the same. "Isn't it alive?" asks what "Is it alive?" asks; "is it something that can't fly" and
    "is it smaller than a person" ask for the opposite, and are answered so.

    ## Observation
    A ``Conversation``: a system message with the rules, the other player's opening, then questions and answers.

    ## Action
    An ``Utterance``: one question or one guess.

    ## Reward
    ``reward="twenty_questions"``: in each turn ``0.9 found + 0.1 information``. The rewards of an episode sum to a value in [0, 1]:

    - ``found``: with the right guess in turn t, ``1 - 0.5 max(0, t - par) / (max_turns - par)``, else 0. ``par`` is log2 of the number
      of things in the table, rounded up, which is 9: what halving takes. It falls from 1 at par to 0.5 in the last turn.
    - ``information``: bits learnt in this turn, ``log2(left before / left after) / log2(things)``, where ``left`` counts the things of
      the whole table for which all answers so far are true. It sums to 1 once one thing is left.

    ## Termination
    After the right guess, or after ``max_turns`` replies, without telling what it was.

    ## Truncation
    When another reply might not fit into ``max_chars``; never by default.

    ## Info
    ``scenario``: a number for the draw. ``rewards``: the reward's components, after a reply. ``metrics``: ground truth so far:

    - ``success``: 1 if the thing was found.
    - ``left``: things of the table that are possible still.
    - ``information``: bits learnt, as a share of all, in [0, 1].
    - ``questions``: questions that were answered.
    - ``guesses``: guesses.
    - ``idle``: replies that told nothing: not understood, several at once, or asked before.
    - ``turns``: replies given.

    ## Scores
    Mean return and metrics in 1,000 episodes, seeds 0 to 999, test split (the train split's are within 0.04 turns and 0.01 else):

    | player | return | success | turns | information | idle |
    |---|---|---|---|---|---|
    | expert | 1.00 | 1.00 | 6.6 | 1.00 | 0.0 |
    | random | 0.06 | 0.02 | 19.7 | 0.44 | 11.1 |
    | no-op | 0.00 | 0.00 | 20.0 | 0.00 | 20.0 |
    | bundled LM | 0.01 | 0.00 | 20.0 | 0.12 | 18.9 |

    The bundled LM wasn't trained on this family; its row is from 100 episodes at temperature 1 (``python -m agents evaluate``).

    The expert knows the whole table, each of its things as probable as any other, but not the thing nor the split. Over all things it
    needs 6.54 turns, at most 9. No player can need less than 6.26 on average with three answers a question, nor less than 8.83 were
    "sometimes" never said (``python -m lm_envs.envs.twenty_questions.bounds``).

    ## Arguments
    - ``max_turns``: default 20.
    - ``split`` (things and openings differ between the two: 220 things are the train split's, 109 the test split's), ``reward``,
      ``max_reply_chars``, ``max_chars``, ``render_mode``: see ``TextEnv``.

    ``reset`` takes no options.

    ## Version history
    - v0: first version.
    """

    default_reward = "twenty_questions"

    def __init__(self, *, max_turns: int = 20, **kwargs: Any) -> None:
        super().__init__(max_turns=max_turns, **kwargs)

    def open(self, options: Mapping[str, Any]) -> Opening:
        """Think of a thing of the split."""
        if options:
            raise ValueError(f"TwentyQuestionsEnv.reset takes no options; got {', '.join(map(repr, sorted(options)))}")
        seed = int(self.np_random.integers(2**32))
        self._rng = np.random.default_rng(seed)
        places = table().splits[self.split]
        self._thing = table().things[places[int(self._rng.integers(len(places)))]]
        self._expert_seed = int(self._rng.integers(2**32))
        self._left = search.everything()
        self._counts = dict.fromkeys(("success", "questions", "guesses", "idle"), 0)
        return Opening(
            messages=(
                Message(role="system", content=lines()["system"].format(turns=self.max_turns)),
                Message(role="user", content=_pick(lines()["opening"][self.split], self._rng)),
            ),
            scenario={"id": f"{self.split}-{seed}"},
            metrics=self._measure(),
        )

    def respond(self, reply: str) -> Response:
        """Answer the question or the guess."""
        before = self._left
        answer = self._answer(reply)
        found = bool(self._counts["success"])
        if not found and self.is_last_turn:
            answer += " " + _pick(lines()["over"], self._rng)
        learnt = log2(np.count_nonzero(before) / np.count_nonzero(self._left))
        self._counts["idle"] += learnt == 0 and not found
        return Response(
            messages=(Message(role="user", content=answer),),
            terminated=found,
            metrics=self._measure(),
            signals={"found": self._promptness() if found else 0.0, "information": learnt / log2(self._left.size)},
        )

    def expert_reply(self) -> str:
        """The question that tells most of the things left, all of the table as probable at first; a guess when two are left."""
        kind, name = search.next_move(self._left)
        if kind == "question":
            return table().attributes[name].question
        return _guess(name, np.random.default_rng([self._expert_seed, self.turn]))

    def random_reply(self, rng: np.random.Generator) -> str:
        """A question, a guess or a remark of any kind."""
        kind = int(rng.choice(len(_RANDOM_ODDS), p=_RANDOM_ODDS))
        if kind == 0:
            return _pick([attribute.question for attribute in table().attributes.values()], rng)
        return _guess(_pick(table().things, rng), rng) if kind == 1 else _pick(lines()["aside"], rng)

    def _answer(self, reply: str) -> str:
        heard = understand(reply)
        if heard.kind == "question":
            self._counts["questions"] += 1
            answer = table().answer(self._thing, heard.name)
            self._left = search.after_answer(self._left, heard.name, answer)
            attribute = table().attributes[heard.name]
            said = answer if answer == "sometimes" or not heard.opposite else "no" if answer == "yes" else "yes"
            return _pick(lines()[said], self._rng).format(fact=attribute.no if answer == "no" else attribute.yes)
        if heard.kind == "guess":
            self._counts["guesses"] += 1
            self._counts["success"] = int(heard.name == self._thing)
            self._left = self._left.copy()
            if self._counts["success"]:
                self._left[:] = [thing == self._thing for thing in table().things]
                return _pick(lines()["right"], self._rng)
            self._left[table().things.index(heard.name)] = False
            return _pick(lines()["wrong"], self._rng).format(thing=with_article(heard.name))
        return _pick(lines()[heard.kind], self._rng)

    def _promptness(self) -> float:
        par = ceil(log2(self._left.size))
        late = max(0, self.turn - par) / max(1, self.max_turns - par)
        return 1 - (1 - _LAST_MOMENT) * late

    def _measure(self) -> dict[str, float]:
        left = int(np.count_nonzero(self._left))
        return {**self._counts, "left": left, "information": 1 - log2(left) / log2(self._left.size)}


def with_article(thing: str) -> str:
    """A thing's name as one speaks of it: "an owl", "the moon", "rice"."""
    if thing in lines()["without article"]:
        return thing
    article = "the" if thing in lines()["the"] else "an" if thing[0] in "aeiou" else "a"
    return f"{article} {thing}"


@cache
def lines() -> Mapping[str, Any]:
    """What is said, from ``lines.json``."""
    data: Mapping[str, Any] = json.loads(Path(__file__).with_name("lines.json").read_text("utf-8"))
    return data


def _guess(thing: str, rng: np.random.Generator) -> str:
    return _pick(lines()["guess"], rng).format(thing=with_article(thing))


def _pick(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]
