import json

import pytest

from lm_envs.envs.customer_service.calls import Call, parse
from lm_envs.envs.customer_service.prompts import STYLES, system_prompt, variants
from lm_envs.envs.customer_service.shop import Policy
from lm_envs.envs.customer_service.tools import TOOLS
from lm_envs.types import SPLITS


@pytest.mark.parametrize("style", STYLES)
def test_the_numbers_of_the_shop_are_in_the_rules(style):
    prompt = system_prompt("Fern House", Policy(window=23, lost=9, refund_days=6), style)
    assert "Fern House" in prompt and "23 days" in prompt and "6 days" in prompt and "9" in prompt
    assert "{window}" not in prompt and "{{" not in prompt


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("split", SPLITS)
def test_the_call_it_shows_is_a_call(style, split):
    for variant in range(variants(style, split)):
        prompt = system_prompt("Fern House", Policy(), style, split=split, variant=variant)
        shown = prompt[prompt.rindex('{"name"') :]
        assert parse(shown[: shown.rindex("}}") + 2]) == Call("get_order", {"order_id": "4411"})


def test_tools_in_full_in_brief_and_in_the_template():
    full, compact = system_prompt("X", Policy()), system_prompt("X", Policy(), "compact")
    schemas = [json.loads(line) for line in full.splitlines() if line.startswith('{"type"')]
    assert [schema["function"]["name"] for schema in schemas] == list(TOOLS)
    assert all(tool.signature in compact for tool in TOOLS.values())
    for style in STYLES:
        assert "get_order(" not in system_prompt("X", Policy(), style, "template") and '"name"' not in system_prompt(
            "X", Policy(), style, "template"
        )
    assert "refund(" not in system_prompt("X", Policy(), "compact", names=("get_order",))


@pytest.mark.parametrize("style", STYLES)
def test_wordings_differ_between_splits_and_variants(style):
    prompts = {system_prompt("X", Policy(), style, split=split, variant=variant) for split in SPLITS for variant in range(2)}
    assert len(prompts) == 4
    assert system_prompt("X", Policy(), style, variant=0) == system_prompt("X", Policy(), style, variant=variants(style))


def test_the_compact_prompt_is_short():
    assert len(system_prompt("Copperfield Goods", Policy(window=30, lost=14), "compact")) < 1500  # 409 tokens of SmolLM2


@pytest.mark.parametrize(("argument", "value"), [("style", "huge"), ("tools", "nowhere"), ("split", "dev")])
def test_unknown_choices_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"{argument} must be one of"):
        system_prompt("X", Policy(), **{argument: value})
