"""How fast a server may be asked, and how much that may cost."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

from lm_envs.rewards.numbers import finite


class BudgetSpent(RuntimeError):
    """The next request might cost more than what is left."""


class RateLimit:
    """Requests begin at least ``60 / per_minute`` seconds apart, whichever thread sends them.

    Args:
        per_minute: how many; ``None`` for no limit.

    Raises:
        ValueError: when there would be none.
    """

    def __init__(self, per_minute: float | None = None) -> None:
        if per_minute is not None and finite("requests_per_minute", per_minute) <= 0:
            raise ValueError(f"requests_per_minute must be more than 0; got {per_minute!r}")
        self._interval = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Sleep until this thread may begin a request."""
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._next)
            self._next = begin + self._interval
        if begin > now:
            time.sleep(begin - now)

    def pause(self, seconds: float) -> None:
        """Let no request begin for a while: what a server asks for that has too many."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


class Reserved(NamedTuple):
    """What a request under way may cost."""

    tokens: int
    cost: float


class Budget:
    """Tokens and money that requests may use together.

    A request reserves what it may cost before it is sent, so that those sent at the same time can't overspend together; what it did cost,
    as the server says, replaces that. Where the server doesn't say, the reservation stands.

    Args:
        tokens: of prompts and completions; ``None`` for no limit.
        cost: in the unit of the prices; ``None`` for no limit.
        prices: of a million tokens of prompts, and of completions.

    Raises:
        ValueError: for a negative number, or a limit of cost without prices.
    """

    def __init__(self, tokens: int | None = None, cost: float | None = None, prices: tuple[float, float] = (0.0, 0.0)) -> None:
        self._prices = (finite("prices", prices[0]), finite("prices", prices[1]))
        if min(*self._prices, tokens or 0, cost or 0) < 0:
            raise ValueError("budgets and prices must not be negative")
        if cost is not None and not any(self._prices):
            raise ValueError("a cost_budget needs prices")
        self.tokens = tokens
        self.cost = cost
        self._spent = self._reserved = Reserved(0, 0.0)
        self._lock = threading.Lock()

    @property
    def spent_tokens(self) -> int:
        """Tokens used by finished requests."""
        return self._spent.tokens

    @property
    def spent_cost(self) -> float:
        """Cost of finished requests."""
        return self._spent.cost

    def reserve(self, prompt: int, completion: int) -> Reserved:
        """Set aside what a request may use.

        Args:
            prompt: tokens of its prompt.
            completion: tokens of the longest answer.

        Raises:
            BudgetSpent: when that is more than what is left; the message says what was spent and of how much.
        """
        wanted = self._price(prompt, completion)
        with self._lock:
            total = Reserved(
                self._spent.tokens + self._reserved.tokens + wanted.tokens, self._spent.cost + self._reserved.cost + wanted.cost
            )
            if self.tokens is not None and total.tokens > self.tokens:
                used = f"{self._spent.tokens:,} of {self.tokens:,} used"
                raise BudgetSpent(f"the token budget is spent: {used}, the next request may take {wanted.tokens:,}")
            if self.cost is not None and total.cost > self.cost:
                used = f"{self._spent.cost:g} of {self.cost:g} used"
                raise BudgetSpent(f"the cost budget is spent: {used}, the next request may take {wanted.cost:g}")
            self._reserved = Reserved(self._reserved.tokens + wanted.tokens, self._reserved.cost + wanted.cost)
        return wanted

    def settle(self, reserved: Reserved, usage: tuple[int, int] | None) -> None:
        """Book what a request used: tokens of the prompt and of the completion, or, where that isn't known, what was set aside."""
        used = reserved if usage is None else self._price(*usage)
        with self._lock:
            self._reserved = Reserved(self._reserved.tokens - reserved.tokens, self._reserved.cost - reserved.cost)
            self._spent = Reserved(self._spent.tokens + used.tokens, self._spent.cost + used.cost)

    def _price(self, prompt: int, completion: int) -> Reserved:
        return Reserved(prompt + completion, (prompt * self._prices[0] + completion * self._prices[1]) / 1e6)
