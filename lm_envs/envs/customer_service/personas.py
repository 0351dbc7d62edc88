"""Who customers are: one file each in `data/personas`, checked when loaded.

A persona has a ``name`` (as its file), a ``split``, and

`register`, `dialect`, `verbosity`, `typos`
    how they write: entries of `data/wording/manner.json`, ``"short"``, ``"normal"`` or ``"long"``, and the share of words with a slip;
`mood`, `patience`, `temper`
    satisfaction at first, needless turns that they bear, what losses of satisfaction are multiplied by;
`insist`, `disclosure`
    refusals that they don't take for an answer; what they say at first: ``"vague"`` (only that there is something), ``"plain"``
    (what it is), ``"open"`` (and about what, and what they would like) or ``"full"`` (and who they are);
`attack`
    one of ``attacks.KINDS``, or null.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from lm_envs.envs.customer_service.attacks import KINDS
from lm_envs.envs.customer_service.data import load_checked, names, require
from lm_envs.envs.customer_service.wording import VERBOSITIES, manner
from lm_envs.types import SPLITS, Split

DISCLOSURES = ("vague", "plain", "open", "full")
FIELDS = frozenset(
    {
        "name", "split", "register", "dialect", "verbosity", "typos", "mood", "patience", "temper", "insist", "disclosure", "attack",
    }
)  # fmt: skip
MAX_TYPOS, MAX_INSIST, MIN_PATIENCE = 0.2, 3, 3  # so that nobody's words or temper keep an able agent from its success


@cache
def load(split: Split, adversarial: bool) -> tuple[Mapping[str, Any], ...]:
    """The personas of a split, those with an attack or those without, sorted by name.

    Raises:
        DataError: when a file is malformed, or there are none.
    """
    found = tuple(persona for persona in everyone() if persona["split"] == split and (persona["attack"] is not None) == adversarial)
    require(found, "personas", f"no {'adversarial' if adversarial else 'ordinary'} ones in {split}")
    return found


@cache
def everyone() -> tuple[Mapping[str, Any], ...]:
    """All personas, sorted by name.

    Raises:
        DataError: when a file is malformed.
    """
    found = []
    for name in names("personas"):
        persona = load_checked(name, _check)
        require(name == f"personas/{persona['name']}", name, f"its name must be that of its file, not {persona['name']!r}")
        found.append(persona)
    return tuple(found)


def _check(persona: Mapping[str, Any]) -> None:
    where = f"personas: {persona.get('name')}"
    require(persona.keys() == FIELDS, where, f"missing or unknown fields {sorted(persona.keys() ^ FIELDS)}")
    for name, choices in (
        ("split", SPLITS),
        ("register", tuple(manner()["registers"])),
        ("dialect", (None, *manner()["dialects"])),
        ("verbosity", VERBOSITIES),
        ("disclosure", DISCLOSURES),
        ("attack", (None, *KINDS)),
    ):
        require(persona[name] in choices, where, f"{name} must be one of {', '.join(map(str, choices))}; got {persona[name]!r}")
    require(0 < persona["mood"] < 1 and persona["temper"] > 0, where, "mood is a share, temper is positive")
    require(0 <= persona["typos"] <= MAX_TYPOS, where, f"typos is a share of at most {MAX_TYPOS}")
    require(persona["patience"] >= MIN_PATIENCE, where, f"patience is at least {MIN_PATIENCE}")
    require(isinstance(persona["insist"], int) and 0 <= persona["insist"] <= MAX_INSIST, where, f"insist is from 0 to {MAX_INSIST}")
