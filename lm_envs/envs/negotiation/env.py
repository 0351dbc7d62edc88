"""Bargain over a price with someone whose limit is hidden.

system: You want to buy something from the user: a touring bicycle ... It is worth £300 to you ...
user: Hello! How does £310 sound for the bicycle?
> step("£310 is too much for me. How about £200?")                   reward +0.000
user: Fair enough. I could meet you at £290.
> step("Deal.")                                                      reward +0.143
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from lm_envs.core import Opening, Response, TextEnv, one_of
from lm_envs.envs.negotiation.opponent import DEADLINES, KINDS, Move, Opponent
from lm_envs.envs.negotiation.planner import planner
from lm_envs.envs.negotiation.reading import read
from lm_envs.envs.negotiation.speech import goods, lines, money, personalities, pick
from lm_envs.types import Message

Role = Literal["buyer", "seller"]

ROLES: tuple[Role, ...] = ("buyer", "seller")
_RANDOM_KINDS = ("offer", "accept", "leave", "chat")
_RANDOM_ODDS = (0.5, 0.1, 0.05, 0.35)
_RANDOM_PRICES = (10.0, 3000.0)


class NegotiationEnv(TextEnv):
    """Bargain over a price with someone whose limit is hidden.

    ## Description
    The agent buys or sells one of 30 goods and knows what the good is worth to it, its limit. The other side has a limit of its own,
    always one at which both can gain; the range between the two is the zone of agreement. It opens with a price beyond it and concedes
    by one of four tactics of Faratin, Sierra and Jennings (1998): boulware (late), linear, conceder (early), or tit-for-tat (as much as
    the agent conceded in its last reply). It accepts a price that is as good for it as what it would offer next. It bears 4 to 8
    replies: it says before the last of them that this is its last offer, and leaves if it can't accept the reply. Limit, tactic and
    deadline are hidden. Eight personalities (six in training, two in the test split) speak for it; how they speak tells nothing of how
    they concede.

    Prices are read from the reply (``reading.py``): "I can do £450", "how about 450?", "450 is too much, 410". "Deal", "I accept 430"
    accept the standing price, and bind; consent to another price is an offer of that price. "No deal" and "I walk away" end it, unless a
    price is named. Replies with several prices, conditions without a price, or nothing about prices are answered by a price and take a
    turn. A price better for the other side than what it asks for closes at what it asks for.

    ## Observation
    A ``Conversation``: a system message with the role, the good, the agent's limit and the rules, then prices back and forth.

    ## Action
    An ``Utterance``: what the agent says next.

    ## Reward
    ``reward="negotiation"``: ``1 surplus``, in [-0.75, 1]:

    - ``surplus``: with a deal at price p, the agent's share of the zone of agreement, ``(limit - p) / (limit - other's limit)`` for a
      buyer, ``(p - limit) / (other's limit - limit)`` for a seller; 0 in other turns and without a deal. A deal beyond the agent's own
      limit is worse than none, as it is for the one who pays, and hence negative; the worst is to accept the worst opening. No deal is
      possible beyond the other's limit, so that 1 is the most.

    ## Termination
    With a deal, when either side leaves, or after ``max_turns`` replies without a deal.

    ## Truncation
    When another reply might not fit into ``max_chars``; never by default.

    ## Info
    ``scenario``: the role and a number for the draw. ``rewards``: the reward's components, after a reply. ``metrics``: ground truth:

    - ``success``: 1 with a deal that gives the agent a surplus above 0.
    - ``deal``: 1 with a deal.
    - ``share``: the agent's share of the zone of agreement, negative beyond its own limit; 0 without a deal.
    - ``offers``: replies that named a price.
    - ``unread``: replies that named none, accepted nothing and didn't end it either.
    - ``left``: 1 if the other side has left.
    - ``turns``: replies given.

    ## Scores
    Mean return and metrics in 1,000 episodes, seeds 0 to 999, test split (on the train split random makes 0.76 deals in 2.6 turns):

    | player | return | success | deal | turns |
    |---|---|---|---|---|
    | expert | 0.91 | 1.00 | 1.00 | 5.6 |
    | random | -0.05 | 0.17 | 0.72 | 2.7 |
    | no-op | 0.00 | 0.00 | 0.00 | 6.0 |
    | bundled LM | 0.04 | 0.11 | 0.20 | 5.5 |

    The bundled LM wasn't trained on this family; its row is from 100 episodes at temperature 1 (``python -m agents evaluate``).

    The expert is optimal for one who knows what kinds of opponents there are (``opponent.py``, each as likely as any other) and reads
    their offers, but not their limit, tactic or deadline: exact dynamic programming, worth 0.912 in expectation. One who knew the kind
    would gain 0.935, an upper bound for all: tit-for-tat gives no more than 0.740. Accepting the first offer gains -0.235, asking for
    much and accepting the last offer 0.394, conceding a step a reply 0.459 (``python -m lm_envs.envs.negotiation.bounds``).

    ## Arguments
    - ``role``: ``"buyer"``, ``"seller"``, or ``None``, the default, which draws one in each episode.
    - ``max_turns``: default 8.
    - ``split`` (goods and personalities differ between the two), ``reward``, ``max_reply_chars``, ``max_chars``, ``render_mode``: see
      ``TextEnv``.

    ``reset`` takes no options.

    ## Version history
    - v0: first version.
    """

    default_reward = "negotiation"

    def __init__(self, *, role: Role | None = None, max_turns: int = 8, **kwargs: Any) -> None:
        super().__init__(max_turns=max_turns, **kwargs)
        self.role = one_of("role", role, (*ROLES, None))

    def open(self, options: Mapping[str, Any]) -> Opening:
        """Draw a role, a good, a limit, an opponent and how it speaks."""
        if options:
            raise ValueError(f"NegotiationEnv.reset takes no options; got {', '.join(map(repr, sorted(options)))}")
        seed = int(self.np_random.integers(2**32))
        self._rng = rng = np.random.default_rng(seed)
        drawn = ROLES[int(rng.integers(len(ROLES)))]
        self._role: Role = self.role or drawn
        choices = goods()[self.split]
        self._good = choices[int(rng.integers(len(choices)))]
        self._limit = self._good.step * int(rng.integers(self._good.least, self._good.most + 1))
        speakers = [each for each in personalities() if each.split == self.split]
        self._speaker = speakers[int(rng.integers(len(speakers)))]
        self._opponent = Opponent(KINDS[int(rng.integers(len(KINDS)))])
        self._expert_seed = int(rng.integers(2**32))
        self._last = False
        self._counts = dict.fromkeys(("success", "deal", "share", "offers", "unread", "left"), 0.0)
        task = lines()["system"][self._role].format(detail=self._good.detail, limit=money(self._limit), turns=self.max_turns)
        return Opening(
            messages=(
                Message(role="system", content=task),
                Message(role="user", content=self._say("open", self._opponent.offers[-1])),
            ),
            scenario={"id": f"{self.split}-{self._role}-{seed}"},
            metrics=self._counts,
        )

    def respond(self, reply: str) -> Response:
        """Let the other side answer."""
        standing = self._opponent.offers[-1]
        reading = read(reply, standing=self._price(standing))
        if reading.act == "accept":
            return self._deal(standing)
        if reading.act == "leave":
            return self._response("bye", standing, terminated=True)
        self._counts["offers" if reading.act == "offer" else "unread"] += 1
        move = self._opponent.hear(self._surplus(reading.price) if reading.act == "offer" else None)
        if move.act == "accept":
            return self._deal(move.offer)
        if move.act == "leave":
            self._counts["left"] = 1.0
            return self._response("leave", move.offer, terminated=True)
        self._last = move.last
        return self._response(self._manner(move, standing, reading.act == "unclear"), move.offer)

    def expert_reply(self) -> str:
        """The best reply of one who knows how likely each kind of opponent is, but not which this one is; see ``planner.py``."""
        horizon = min(self.max_turns, max(DEADLINES))
        _, demand = planner(horizon).plan(self._opponent.offers, self._last, self._opponent.demands)
        kind, surplus = ("accept", self._opponent.offers[-1]) if demand is None else ("offer", demand)
        return pick(lines()[kind], np.random.default_rng([self._expert_seed, self.turn])).format(price=money(self._price(surplus)))

    def random_reply(self, rng: np.random.Generator) -> str:
        """An offer of any price, consent, a goodbye or a remark."""
        kind = _RANDOM_KINDS[int(rng.choice(len(_RANDOM_KINDS), p=_RANDOM_ODDS))]
        low, high = np.log(_RANDOM_PRICES)
        return pick(lines()[kind], rng).format(price=money(round(float(np.exp(rng.uniform(low, high))))))

    def _deal(self, surplus: float) -> Response:
        gained = surplus / self._opponent.kind.gap
        self._counts |= {"deal": 1.0, "success": float(gained > 0), "share": gained}
        return self._response("accept", surplus, terminated=True, surplus=gained)

    def _response(self, act: str, offer: float, *, terminated: bool = False, surplus: float = 0.0) -> Response:
        return Response(
            messages=(Message(role="user", content=self._say(act, offer)),),
            terminated=terminated,
            metrics=self._counts,
            signals={"surplus": surplus},
        )

    def _manner(self, move: Move, standing: float, unclear: bool) -> str:
        if move.last:
            return "last"
        if unclear:
            return "unclear"
        return "hold" if move.offer == standing else "counter"

    def _say(self, act: str, offer: float) -> str:
        return self._speaker.say(act, money(self._price(offer)), self._good.good, self._rng)

    def _price(self, surplus: float) -> float:
        """The price that gives the agent so many steps of surplus."""
        return self._limit + self._good.step * (surplus if self._role == "seller" else -surplus)

    def _surplus(self, price: float) -> float:
        """The steps of surplus that a price gives the agent."""
        return (price - self._limit) / self._good.step * (1 if self._role == "seller" else -1)
