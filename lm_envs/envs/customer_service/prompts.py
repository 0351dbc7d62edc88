"""The system prompt: who the agent is, the company's rules with this shop's numbers, the tools, and how to call them."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache, lru_cache
from typing import Literal

from lm_envs.core import one_of
from lm_envs.envs.customer_service.data import load
from lm_envs.envs.customer_service.shop import Policy
from lm_envs.envs.customer_service.tools import TOOLS, schemas
from lm_envs.types import SPLITS, Split

Style = Literal["full", "compact"]
ToolsIn = Literal["prompt", "template"]

STYLES: tuple[Style, ...] = ("full", "compact")
TOOLS_IN: tuple[ToolsIn, ...] = ("prompt", "template")


def variants(style: Style = "full", split: Split = "train") -> int:
    """In how many wordings the prompt comes."""
    return min(len(by_split[split]) for by_split in load("prompts")[style].values())


def system_prompt(
    shop_name: str,
    policy: Policy,
    style: Style = "full",
    tools: ToolsIn = "prompt",
    split: Split = "train",
    variant: int = 0,
    names: tuple[str, ...] | None = None,
) -> str:
    """The first message of an episode.

    Args:
        shop_name: what the shop is called.
        policy: the numbers in its rules.
        style: ``"full"``, with all rules and the tools' JSON schemas; ``"compact"``, for small models and short contexts, with
            the rules in brief and each tool in a few words.
        tools: ``"prompt"``, or ``"template"`` where the model's chat template writes them, and how they are called, by itself.
        split: the two are worded differently.
        variant: which wording, counted round.
        names: the tools that there are; by default all.

    Raises:
        ValueError: for an unknown style, place of the tools, or split.
    """
    one_of("style", style, STYLES)
    one_of("tools", tools, TOOLS_IN)
    one_of("split", split, SPLITS)
    words = {part: by_split[split][variant % len(by_split[split])] for part, by_split in load("prompts")[style].items()}
    parts = [words["role"].format(shop=shop_name), _rules(policy, style)]
    if tools == "prompt":
        parts += [words["tools"].format(tools=_tools(style, names)), words["calling"].format()]
    return ("\n\n" if style == "full" else "\n").join(parts)


@lru_cache(maxsize=1024)
def _rules(policy: Policy, style: Style) -> str:
    numbers = asdict(policy)
    texts = [rule["text" if style == "full" else "compact"].format_map(numbers) for rule in load("rules")["rules"]]
    if style == "compact":
        return "\n".join(text for text in texts if text)
    return "\n".join(f"{number}. {text}" for number, text in enumerate(texts, 1))


@cache
def _tools(style: Style, names: tuple[str, ...] | None) -> str:
    if style == "compact":
        return " ".join(TOOLS[name].signature for name in names or TOOLS)
    return "\n".join(json.dumps(schema, ensure_ascii=False) for schema in schemas(names))
