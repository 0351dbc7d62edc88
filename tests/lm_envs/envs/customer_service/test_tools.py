import json

import numpy as np
import pytest

from lm_envs.envs.customer_service.acts import OPERATIONS
from lm_envs.envs.customer_service.calls import Call
from lm_envs.envs.customer_service.shop import TOPICS
from lm_envs.envs.customer_service.tools import OPERATION_TOOLS, TOOLS, Toolbox, schemas
from tests.lm_envs.envs.customer_service.world import make_shop


def call(name, /, shop=None, **arguments):
    return Toolbox(shop or make_shop()).call(Call(name, arguments))


def test_schemas_are_what_chat_templates_take():
    assert [schema["function"]["name"] for schema in schemas()] == list(TOOLS)
    assert json.loads(json.dumps(schemas(["refund"]))) == schemas(["refund"])
    function = schemas(["refund"])[0]["function"]
    assert function["parameters"]["properties"]["amount"]["type"] == "number"
    assert function["parameters"]["required"] == ["order_id", "line_id", "amount"]
    assert schemas(["open_ticket"])[0]["function"]["parameters"]["required"] == ["topic"]
    assert all(schema["type"] == "function" and schema["function"]["description"].endswith(".") for schema in schemas())


def test_every_operation_has_a_tool_that_writes():
    assert set(OPERATION_TOOLS) == set(OPERATIONS)
    assert {tool.name for tool in TOOLS.values() if tool.kind == "WRITE"} == set(OPERATION_TOOLS.values())


@pytest.mark.parametrize("query", ["Ann Lee", "ann lee", "ANN@postbox.example", "1004", "#1004", "C1", "Lee"])
def test_find_customer_tells_no_private_facts(query):
    assert call("find_customer", query=query).data == {"customers": [{"customer_id": "C1", "name": "Ann Lee"}]}


def test_find_customer_may_find_nobody():
    assert call("find_customer", query="Eve").data == {"customers": []}


@pytest.mark.parametrize(("postcode", "verified"), [("LS1 4AB", True), ("ls14ab", True), ("LS1 4AC", False)])
def test_authenticate(postcode, verified):
    assert call("authenticate", customer_id="c1", postcode=postcode).data["verified"] is verified


def test_reads():
    account = call("get_customer", customer_id="C1").data
    assert account["points"] == 640 and account["payments"]["P2"] == "bank account ending 7730" and "postcode" not in account
    assert "2001" not in account["orders"]
    order = call("get_order", order_id="1004").data
    assert order["delivered"] == "8 May" and order["days_since_delivery"] == 12 and "days_late" not in order
    assert order["charges"] == ["goods 83.00", "delivery 3.90"]
    assert order["lines"][1] == {"line": "2", "variant": "scarf-navy", "price": "54.00", "stock": 12, "quantity": 2}
    assert call("get_order", order_id="1001").data["address"] and "address" not in order
    assert call("get_order", order_id="1002").data["days_late"] == 3
    assert call("get_order", order_id="1008").data["delivered"].endswith("2024")
    product = call("get_product", product_id="Kettle").data
    assert product["variants"]["kettle-black"] == ["29.00", 0] and product["warranty_days"] == 720 and "final_sale" not in product
    assert call("get_product", product_id="paper-lantern-red").data["final_sale"] is True
    assert call("get_article", article_id="kb-1").data["title"] == "Descale a kettle"


@pytest.mark.parametrize(
    ("query", "article"),
    [
        ("kettle is slow, limescale", "KB-1"),
        ("how do I descale my kettle?", "KB-1"),
        ("headphones not pairing", "KB-3"),
        ("lamp flickers", "KB-5"),
        ("washing a wool blanket", "KB-8"),
        ("paper jam in the printer", "KB-19"),
        ("suitcase code forgotten", "KB-27"),
        ("smart plug offline", "KB-33"),
    ],
)
def test_search_articles(query, article):
    assert next(iter(call("search_articles", query=query).data["articles"])) == article


def test_search_articles_may_find_nothing():
    assert call("search_articles", query="the of and").data == {"articles": {}}


WRITES = [
    ("cancel_order", {"order_id": "1001", "reason": "changed mind"}, {"order": "1001", "status": "cancelled", "refunded": "29.00"}),
    ("return_item", {"order_id": "1004", "line_id": "2"}, {"order": "1004", "line": "2", "status": "returned", "to_refund": "54.00"}),
    ("refund", {"order_id": "1004", "line_id": "1", "amount": 29}, {"order": "1004", "line": "1", "refunded": "29.00"}),
    (
        "exchange_item",
        {"order_id": "1004", "line_id": "1", "variant_id": "kettle-steel"},
        {"order": "1004", "line": "1", "variant": "kettle-steel", "status": "exchanged"},
    ),
    ("change_address", {"order_id": "1001", "address": "3 Elm Grove,  York"}, {"order": "1001", "address": "3 Elm Grove, York"}),
    ("change_payment", {"order_id": "1001", "payment_id": "P2"}, {"order": "1001", "payment": "P2", "label": "bank account ending 7730"}),
    ("open_ticket", {"topic": "billing", "summary": "charged twice"}, {"ticket": "T1", "topic": "billing"}),
    ("hand_over", {"reason": "injury"}, {"handed_over": True}),
]


@pytest.mark.parametrize(("name", "arguments", "data"), WRITES)
def test_writes_change_the_books(name, arguments, data):
    shop = make_shop()
    before = shop.copy()
    result = call(name, shop, **arguments)
    assert result.ok and dict(result.data) == data and json.loads(result.content) == data and result.kind == "WRITE"
    assert shop.effects() != before.effects() and shop.faults(before) == []


@pytest.mark.parametrize("amount", [29, 29.0, "29", "29.0", "29.00", "£29", " 29.00 "])
def test_amounts_in_any_spelling(amount):
    shop = make_shop()
    assert call("refund", shop, order_id=1004, line_id=1, amount=amount).ok
    other = make_shop()
    call("refund", other, order_id="#1004", line_id="1", amount=29)
    assert shop.effects() == other.effects()


def test_rule_violations_are_possible():
    shop = make_shop()
    assert call("cancel_order", shop, order_id="1002").ok  # shipped
    assert call("return_item", shop, order_id="1005", line_id="1").ok  # after the window
    assert call("refund", shop, order_id="2001", line_id="1", amount=10).ok  # somebody else's


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("fly", {}, "no such tool"),
        ("get_order", {}, "missing argument order_id"),
        ("get_order", {"order_id": "1001", "colour": "red"}, "unknown argument colour"),
        ("get_order", {"order_id": ["1001"]}, "must be a string"),
        ("get_order", {"order_id": None}, "must be a string"),
        ("get_order", {"order_id": True}, "must be a string"),
        ("get_order", {"order_id": ""}, "1 to 300"),
        ("get_order", {"order_id": "9" * 400}, "1 to 300"),
        ("get_order", {"order_id": "9999"}, "no order 9999"),
        ("get_customer", {"customer_id": "C99"}, "no customer C99"),
        ("get_product", {"product_id": "rocket"}, "no product rocket"),
        ("get_article", {"article_id": "KB-999"}, "no article"),
        ("cancel_order", {"order_id": "1004"}, "already delivered"),
        ("return_item", {"order_id": "1001", "line_id": "1"}, "pending, not delivered"),
        ("return_item", {"order_id": "1004", "line_id": "3"}, "has lines 1, 2"),
        ("return_item", {"order_id": "1007", "line_id": "1"}, "returned, not delivered"),
        ("refund", {"order_id": "1004", "line_id": "1", "amount": 100}, "only 86.90 left"),
        ("refund", {"order_id": "1004", "line_id": "1", "amount": 0}, "must be an amount"),
        ("refund", {"order_id": "1004", "line_id": "1", "amount": -5}, "must be an amount"),
        ("refund", {"order_id": "1004", "line_id": "1", "amount": 2.999}, "must be an amount"),
        ("refund", {"order_id": "1004", "line_id": "1", "amount": "lots"}, "must be an amount"),
        ("refund", {"order_id": "1004", "line_id": "1", "amount": "nan"}, "must be an amount"),
        ("refund", {"order_id": "1004", "line_id": "1", "amount": "1e900"}, "must be an amount"),
        ("exchange_item", {"order_id": "1004", "line_id": "1", "variant_id": "kettle-black"}, "sold out"),
        ("exchange_item", {"order_id": "1004", "line_id": "1", "variant_id": "scarf-red"}, "no such variant of kettle"),
        ("exchange_item", {"order_id": "1001", "line_id": "1", "variant_id": "kettle-red"}, "is pending"),
        ("change_address", {"order_id": "1004", "address": "3 Elm Grove"}, "already delivered"),
        ("change_payment", {"order_id": "1001", "payment_id": "P9"}, "payments: P1, P2"),
        ("open_ticket", {"topic": "gossip"}, f"must be one of {', '.join(TOPICS)}"),
    ],
)
def test_errors_are_results_and_change_nothing(name, arguments, error):
    shop = make_shop()
    result = call(name, shop, **arguments)
    assert not result.ok and error in result.data["error"] and list(json.loads(result.content)) == ["error"]
    assert shop.effects() == make_shop().effects()


def test_nothing_is_done_twice():
    for name, arguments, _ in WRITES[:4]:
        shop = make_shop()
        assert call(name, shop, **arguments).ok and not call(name, shop, **arguments).ok
    shop = make_shop()
    assert call("return_item", shop, order_id="1004", line_id="1").ok and call("return_item", shop, order_id="1004", line_id="2").ok
    assert shop.orders["1004"].status == "returned"
    assert call("refund", shop, order_id="1004", line_id="1", amount=29).ok and shop.orders["1004"].status == "returned"


def test_a_toolbox_can_hold_some_tools():
    toolbox = Toolbox(make_shop(), ["get_order"])
    assert toolbox.call(Call("get_order", {"order_id": "1001"})).ok
    assert toolbox.call(Call("refund", {})).data["error"] == "no such tool; tools: get_order"


def test_random_calls_keep_the_books_sound():
    rng = np.random.default_rng(1)
    values = [
        "1001", "1002", "1004", "1007", "2001", "1", "2", "C1", "P2", "kettle-red", "kettle-steel", "scarf-red", "billing", 29,
        29.0, "35.00",
    ]  # fmt: skip
    values += ["", None, [], {}, True, -1, 1e300, "£5", "\x00", "é" * 400]

    def pick():
        return values[int(rng.integers(len(values)))]

    done = 0
    for _ in range(40):
        shop = make_shop()
        before, toolbox = shop.copy(), Toolbox(shop)
        for _ in range(50):
            tool = list(TOOLS.values())[int(rng.integers(len(TOOLS)))]
            arguments = {name: pick() for name in tool.parameters if rng.random() < 0.98}
            if "order_id" in arguments and rng.random() < 0.8:
                arguments |= {"order_id": values[int(rng.integers(5))]} | ({"line_id": "1"} if "line_id" in arguments else {})
            done += toolbox.call(Call(tool.name, arguments)).ok
            assert shop.faults(before) == []
    assert done > 200
