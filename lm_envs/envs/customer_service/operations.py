"""What the tools do to the shop's books. Arguments come checked: text as text, amounts in whole pence.

Each function returns the answer, or raises a :class:`ToolError` and leaves the books as they are; the first line
of its docstring is the description that agents read.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from lm_envs.envs.customer_service.catalogue import Article, catalogue, money
from lm_envs.envs.customer_service.shop import Customer, Line, Order, Shop, Ticket, day, plain, plain_postcode

Data = dict[str, Any]

MAX_FOUND = 3  # results of a search


class ToolError(Exception):
    """Why a tool can't do what it was called for; the text is for the agent."""


# READ


def find_customer(shop: Shop, arguments: Mapping[str, Any]) -> Data:
    """Find a customer's id by name, e-mail or order number."""
    query = plain(arguments["query"].removeprefix("#"))
    order = shop.orders.get(query)
    if order is not None:
        found = [shop.customers[order.customer]]
    else:
        found = [who for who in shop.customers.values() if query in (plain(who.name), plain(who.email), who.id.lower())]
        words = query.split()
        found = found or [who for who in shop.customers.values() if words and set(words) <= set(plain(who.name).split())]
    return {"customers": [{"customer_id": who.id, "name": who.name} for who in found[:MAX_FOUND]]}


def authenticate(shop: Shop, arguments: Mapping[str, Any]) -> Data:
    """Check the postcode that the customer gave against the account."""
    who = _customer(shop, arguments)
    return {"customer_id": who.id, "verified": plain_postcode(arguments["postcode"]) == plain_postcode(who.postcode)}


def get_customer(shop: Shop, arguments: Mapping[str, Any]) -> Data:
    """Read an account: e-mail, tier, points, payments, orders."""
    who = _customer(shop, arguments)
    return {
        "customer_id": who.id,
        "name": who.name,
        "email": who.email,
        "tier": who.tier,
        "points": who.points,
        "payments": {payment.id: payment.label for payment in who.payments.values()},
        "orders": [order.number for order in shop.orders_of(who.id)],
    }


def get_order(shop: Shop, arguments: Mapping[str, Any]) -> Data:
    """Read an order: status, dates, lines, charges."""
    order = _order(shop, arguments)
    data: Data = {"order": order.number, "customer_id": order.customer, "status": order.status}
    if order.delivered:
        data["delivered"] = day(order.delivered, shop.today)
        data["days_since_delivery"] = shop.days_since_delivery(order)
    else:
        data["due"] = day(order.due, shop.today)
    if late := shop.days_late(order):
        data["days_late"] = late
    if order.status in ("pending", "processed"):  # what can still be changed
        data |= {"address": order.address, "payment": order.payment}
    data["lines"] = [_line_data(shop, order, line) for line in order.lines]
    if order.charges:
        data["charges"] = [f"{charge.label} {money(charge.amount)}" for charge in order.charges]
    if order.refunded:
        data["refunded"] = money(order.refunded)
    return data


def _line_data(shop: Shop, order: Order, line: Line) -> Data:
    """A line, with what matters for a remedy once it has been sent; short, for small contexts."""
    data: Data = {"line": line.id, "variant": line.variant, "price": money(line.price)}
    if line.status != "ordered":
        data["status"] = line.status
    elif order.status in ("shipped", "delivered"):
        data["stock"] = shop.in_stock(line.variant)
        product = shop.catalogue.products[line.product]
        if product.final_sale:
            data["final_sale"] = True
        if order.delivered and not shop.in_window(order):
            data["warranty_days"] = shop.warranty_days(product)
    if line.quantity > 1:
        data["quantity"] = line.quantity
    if line.refunded:
        data["refunded"] = money(line.refunded)
    return data


def get_product(shop: Shop, arguments: Mapping[str, Any]) -> Data:
    """Read a product: each variant's price and stock, warranty."""
    wanted = arguments["product_id"].lower().replace(" ", "-")
    product = shop.catalogue.products.get(wanted) or shop.catalogue.product_of.get(wanted)
    if product is None:
        raise ToolError(f"no product {wanted[:40]}")
    data: Data = {
        "product": product.id,
        "warranty_days": shop.warranty_days(product),
        "variants": {variant.id: [money(variant.price), shop.in_stock(variant.id)] for variant in product.variants},
    }
    return data | {"final_sale": True} if product.final_sale else data


def get_article(shop: Shop, arguments: Mapping[str, Any]) -> Data:
    """Read a help article."""
    article = shop.catalogue.articles.get(arguments["article_id"].upper())
    if article is None:
        raise ToolError(f"no article {arguments['article_id'][:40]}")
    return {"article": article.id, "title": article.title, "steps": list(article.steps)}


def search_articles(shop: Shop, arguments: Mapping[str, Any]) -> Data:
    """Find help articles."""
    words = _words(arguments["query"])
    scored = [(len(words & about), article) for article, about in _index()]
    best = sorted((item for item in scored if item[0]), key=lambda item: -item[0])[:MAX_FOUND]
    return {"articles": {article.id: article.title for _, article in best}}


@cache
def _index() -> list[tuple[Article, frozenset[str]]]:
    return [(article, _words(f"{article.title} {' '.join(article.keywords)}")) for article in catalogue().articles.values()]


def _words(text: str) -> frozenset[str]:
    return frozenset(_stem(word) for word in plain(text).replace("-", " ").split()) - _STOP


def _stem(word: str) -> str:
    word = word.strip("'\"?!:;()")
    return word.removesuffix("ing").removesuffix("s") if len(word) > 4 else word


_STOP = frozenset("a an and the of in on to for is it my your i with how what do does can that this when not no".split())


# WRITE


def cancel_order(shop: Shop, arguments: Mapping[str, Any]) -> Data:
    """Cancel an order and pay it back."""
    order = _open_order(shop, arguments)
    if any(line.status != "ordered" for line in order.lines):
        raise ToolError(f"order {order.number} has lines that were refunded or exchanged")
    order.status = "cancelled"
    back = order.paid - order.refunded
    order.refunded = order.paid
    for line in order.lines:
        shop.stock[line.variant] = shop.in_stock(line.variant) + line.quantity
    return {"order": order.number, "status": order.status, "refunded": money(back)}


def return_item(shop: Shop, arguments: Mapping[str, Any]) -> Data:
    """Register the return of a line of an order."""
    order, line = _line(shop, arguments)
    if order.status != "delivered":
        raise ToolError(f"order {order.number} is {order.status}, not delivered")
    if line.status != "ordered":
        raise ToolError(f"line {line.id} is already {line.status}")
    line.status = "returned"
    if all(other.status in ("returned", "refunded") for other in order.lines):
        order.status = "returned"
    return {"order": order.number, "line": line.id, "status": line.status, "to_refund": money(line.owed)}


def refund(shop: Shop, arguments: Mapping[str, Any]) -> Data:
    """Pay back money for a line of an order."""
    order, line = _line(shop, arguments)
    amount: int = arguments["amount"]
    if order.status == "cancelled":
        raise ToolError(f"order {order.number} is cancelled and paid back")
    if line.status == "exchanged" or (line.status == "refunded" and not line.owed):
        raise ToolError(f"line {line.id} is already {line.status}")
    if amount > order.paid - order.refunded:
        raise ToolError(f"only {money(order.paid - order.refunded)} left to refund")
    line.status = "refunded"
    line.refunded += amount
    order.refunded += amount
    return {"order": order.number, "line": line.id, "refunded": money(amount)}


def exchange_item(shop: Shop, arguments: Mapping[str, Any]) -> Data:
    """Send another variant, or the same one again, for a line of an order."""
    order, line = _line(shop, arguments)
    variant = shop.catalogue.variants.get(arguments["variant_id"].lower())
    if variant is None or shop.catalogue.product_of[variant.id].id != line.product:
        known = ", ".join(v.id for v in shop.catalogue.products[line.product].variants)
        raise ToolError(f"no such variant of {line.product}; variants: {known}")
    if order.status not in ("shipped", "delivered"):
        raise ToolError(f"order {order.number} is {order.status}")
    if line.status != "ordered":
        raise ToolError(f"line {line.id} is already {line.status}")
    if (left := shop.in_stock(variant.id)) < line.quantity:
        raise ToolError(f"{variant.id} is sold out")
    shop.stock[variant.id] = left - line.quantity
    line.variant, line.status = variant.id, "exchanged"
    return {"order": order.number, "line": line.id, "variant": variant.id, "status": line.status}


def change_address(shop: Shop, arguments: Mapping[str, Any]) -> Data:
    """Send an order to another address."""
    order = _open_order(shop, arguments)
    order.address = arguments["address"]
    return {"order": order.number, "address": order.address}


def change_payment(shop: Shop, arguments: Mapping[str, Any]) -> Data:
    """Charge an order to another means of payment of the account."""
    order = _open_order(shop, arguments)
    payments = shop.customers[order.customer].payments
    payment = payments.get(arguments["payment_id"].upper())
    if payment is None:
        raise ToolError(f"no such payment; payments: {', '.join(payments)}")
    order.payment = payment.id
    return {"order": order.number, "payment": payment.id, "label": payment.label}


def open_ticket(shop: Shop, arguments: Mapping[str, Any]) -> Data:
    """Open a case for another department."""
    shop.tickets.append(Ticket(arguments["topic"], arguments.get("summary", "")))
    return {"ticket": f"T{len(shop.tickets)}", "topic": arguments["topic"]}


def hand_over(shop: Shop, arguments: Mapping[str, Any]) -> Data:
    """Hand the conversation over to a person."""
    shop.handover = arguments.get("reason", "")
    return {"handed_over": True}


def _customer(shop: Shop, arguments: Mapping[str, Any]) -> Customer:
    found = shop.customers.get(arguments["customer_id"].upper())
    if found is None:
        raise ToolError(f"no customer {arguments['customer_id'][:40]}")
    return found


def _order(shop: Shop, arguments: Mapping[str, Any]) -> Order:
    found = shop.orders.get(arguments["order_id"])
    if found is None:
        raise ToolError(f"no order {arguments['order_id'][:40]}")
    return found


def _open_order(shop: Shop, arguments: Mapping[str, Any]) -> Order:
    order = _order(shop, arguments)
    if order.status in ("cancelled", "delivered", "returned"):
        raise ToolError(f"order {order.number} is already {order.status}")
    return order


def _line(shop: Shop, arguments: Mapping[str, Any]) -> tuple[Order, Line]:
    order = _order(shop, arguments)
    line = order.line(arguments["line_id"])
    if line is None:
        raise ToolError(f"order {order.number} has lines {', '.join(line.id for line in order.lines)}")
    return order, line
