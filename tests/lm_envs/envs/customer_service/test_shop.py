import copy
import json
import pickle

import pytest

from lm_envs.envs.customer_service.catalogue import catalogue, money, pence
from lm_envs.envs.customer_service.eligibility import forbidden
from lm_envs.envs.customer_service.shop import Ticket, day, day_fact, plain, plain_postcode
from tests.lm_envs.envs.customer_service.world import TODAY, ago, make_shop


def test_the_catalogue_is_large_enough_and_of_one_piece():
    goods = catalogue()
    assert len(goods.products) >= 40 and len(goods.variants) >= 150 and len(goods.articles) >= 30
    assert goods.product_of["kettle-red"] is goods.products["kettle"] and goods.variants["kettle-steel"].price == 3400
    assert {article for product in goods.products.values() for article in product.articles} == set(goods.articles)
    assert len({product.name for product in goods.products.values()}) == len(goods.products)


def test_copies_share_what_never_changes():
    shop = make_shop()
    for other in (shop.copy(), copy.deepcopy(shop), pickle.loads(pickle.dumps(shop))):
        assert other.effects() == shop.effects() and other.catalogue is shop.catalogue
        other.orders["1004"].lines[0].status = "returned"
        other.stock["kettle-red"] = 1
        other.tickets.append(Ticket("other", ""))
        assert other.effects() != shop.effects() == make_shop().effects()


def test_effects_are_canonical():
    shop, other = make_shop(), make_shop()
    other.orders = dict(reversed(other.orders.items()))
    other.stock["scarf-red"] = other.in_stock("scarf-red")  # the usual stock, written down
    other.orders["1001"].address = "12 mill lane  leeds LS1 4ab."
    shop.tickets += [Ticket("billing", "a"), Ticket("other", "b")]
    other.tickets += [Ticket("other", "c"), Ticket("billing", "d")]
    shop.handover, other.handover = "injury", ""
    assert shop.effects() == other.effects()
    assert json.loads(json.dumps(shop.effects())) == shop.effects()


def test_dates():
    shop = make_shop()
    orders = shop.orders
    assert shop.days_late(orders["1002"]) == 3 and shop.days_late(orders["1001"]) == shop.days_late(orders["1004"]) == 0
    assert shop.is_lost(orders["1003"]) and not shop.is_lost(orders["1002"])
    assert shop.in_window(orders["1004"]) and not shop.in_window(orders["1005"]) and not shop.in_window(orders["1002"])
    assert shop.in_warranty(orders["1005"], orders["1005"].lines[0]) and not shop.in_warranty(orders["1008"], orders["1008"].lines[0])
    assert day(TODAY, TODAY) == "20 May" and day(ago(700), TODAY) == "19 June 2024" and day_fact(ago(12)) == "05-08"


def test_spellings():
    assert (money(2900), money(5), money(123456)) == ("29.00", "0.05", "1234.56")
    assert (pence("29.00"), pence("29.5"), pence("29")) == (2900, 2950, 2900)
    assert plain(" 3 Elm Grove,York. ") == "3 elm grove york" and plain_postcode("ls1 4ab") == "LS14AB"


def test_faults_are_found():
    def spoilt(change):
        shop = make_shop()
        change(shop)
        return shop.faults(make_shop())

    assert spoilt(lambda shop: None) == []
    assert spoilt(lambda shop: shop.stock.update({"kettle-red": 3}))
    assert spoilt(lambda shop: shop.stock.update({"kettle-red": -1}))
    assert spoilt(lambda shop: shop.orders.pop("1001"))
    assert spoilt(lambda shop: setattr(shop.orders["1001"], "refunded", 100))
    assert spoilt(lambda shop: setattr(shop.orders["1001"], "status", "cancelled"))
    assert spoilt(lambda shop: setattr(shop.orders["1001"], "status", "delivered"))
    assert spoilt(lambda shop: setattr(shop.orders["1004"], "status", "returned"))
    assert spoilt(lambda shop: setattr(shop.orders["1004"], "status", "lost in thought"))


@pytest.mark.parametrize(
    ("operation", "order", "line", "intents", "variant", "reason"),
    [
        ("cancel", "1001", "", (), "", ""),
        ("cancel", "1002", "", (), "", "shipped"),
        ("address", "1004", "", (), "", "shipped"),
        ("payment", "1001", "", (), "", ""),
        ("return", "1004", "1", (), "", ""),
        ("return", "1005", "1", (), "", "window"),
        ("return", "1006", "1", (), "", "final_sale"),
        ("return", "1001", "1", (), "", "policy"),
        ("return", "1007", "1", (), "", "policy"),
        ("exchange", "1004", "1", ("exchange",), "kettle-white", ""),
        ("exchange", "1004", "1", ("exchange",), "kettle-black", "sold_out"),
        ("exchange", "1005", "1", ("exchange",), "mirror-tall", "window"),
        ("exchange", "1005", "1", ("damaged",), "", "window"),
        ("exchange", "1005", "1", ("warranty",), "", ""),
        ("exchange", "1008", "1", ("warranty",), "", "warranty"),
        ("exchange", "1006", "1", ("wrong_item",), "", ""),
        ("exchange", "1003", "1", (), "", ""),
        ("exchange", "1002", "1", (), "", "not_yet_late"),
        ("refund", "1003", "1", (), "", ""),
        ("refund", "1002", "1", (), "", "not_yet_late"),
        ("refund", "1004", "1", ("return",), "", "policy"),
        ("refund", "1004", "1", ("damaged",), "", ""),
        ("refund", "1004", "1", ("warranty",), "", "policy"),
        ("refund", "1005", "1", ("refund",), "", "window"),
        ("refund", "1006", "1", ("refund",), "", "final_sale"),
        ("refund", "1007", "1", ("refund",), "", ""),
        ("refund", "1001", "1", (), "", "policy"),
    ],
)
def test_what_the_rules_allow(operation, order, line, intents, variant, reason):
    shop = make_shop()
    assert forbidden(shop, operation, shop.orders[order], shop.orders[order].line(line), intents, variant) == reason


def test_a_defect_is_paid_back_where_no_replacement_is_left():
    shop = make_shop()
    shop.stock["mirror-round"] = 0
    order = shop.orders["1005"]
    assert forbidden(shop, "exchange", order, order.lines[0], ("warranty",)) == "sold_out"
    assert forbidden(shop, "refund", order, order.lines[0], ("warranty",)) == ""
