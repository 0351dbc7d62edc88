"""A small shop for tests: one customer with an order in each state, and somebody else with one."""

import datetime

from lm_envs.envs.customer_service.acts import Reading
from lm_envs.envs.customer_service.calls import Call
from lm_envs.envs.customer_service.record import Record
from lm_envs.envs.customer_service.rules import Rulebook
from lm_envs.envs.customer_service.shop import Charge, Customer, Line, Order, Payment, Policy, Shop
from lm_envs.envs.customer_service.tools import Toolbox

TODAY = datetime.date(2026, 5, 20)


def ago(days):
    return TODAY - datetime.timedelta(days=days)


def make_shop():
    def person(number, name, postcode, **more):
        email = f"{name.split()[0].lower()}@postbox.example"
        payments = {"P1": Payment("P1", "Visa card ending 4821"), "P2": Payment("P2", "bank account ending 7730")}
        return Customer(number, name, email, postcode, f"12 Mill Lane, Leeds {postcode}", payments=payments, **more)

    def order(number, status, lines, due, delivered=None, owner="C1", **more):
        return Order(number, owner, lines, status, ago(due + 6), ago(due), delivered, "12 Mill Lane, Leeds LS1 4AB", "P1", **more)

    orders = [
        order("1001", "pending", [Line("1", "kettle", "kettle-red", 1, 2900)], -4),
        order("1002", "shipped", [Line("1", "desk-lamp", "desk-lamp-white", 1, 3500)], 3),
        order("1003", "shipped", [Line("1", "radio", "radio-black", 1, 7900)], 9),
        order(
            "1004",
            "delivered",
            [Line("1", "kettle", "kettle-red", 1, 2900), Line("2", "scarf", "scarf-navy", 2, 5400)],
            12,
            ago(12),
            charges=(Charge("goods", 8300), Charge("delivery", 390)),
        ),
        order("1005", "delivered", [Line("1", "mirror", "mirror-round", 1, 4100)], 50, ago(50)),
        order("1006", "delivered", [Line("1", "paper-lantern", "paper-lantern-red", 1, 1400)], 5, ago(5)),
        order("1007", "returned", [Line("1", "cushion", "cushion-grey", 1, 1800, "returned")], 20, ago(20)),
        order("1008", "delivered", [Line("1", "yoga-mat", "yoga-mat-grey", 1, 3400)], 700, ago(700)),
        order("2001", "delivered", [Line("1", "tent", "tent-green", 1, 14900)], 8, ago(6), owner="C2"),
    ]
    customers = [person("C1", "Ann Lee", "LS1 4AB", tier="silver", points=640), person("C2", "Bob Okafor", "BS3 2XY", points=20)]
    shop = Shop(TODAY, {who.id: who for who in customers}, {one.number: one for one in orders}, policy=Policy(window=30, lost=7))
    shop.stock["kettle-black"] = 0
    return shop


class Play:
    """An episode by hand: what is done, and which rules it breaks."""

    def __init__(self, person=False, verified=True, **said):
        self.shop = make_shop()
        self.record = Record(self.shop, person=person)
        self.toolbox = Toolbox(self.shop)
        self.rulebook = Rulebook()
        self.broken = []
        self.said(**said)
        if verified:
            self.said({"postcode": "ls1 4ab"})
            self.call("authenticate", customer_id="C1", postcode="LS1 4AB")

    def said(self, slots=None, **more):
        self.record.said(slots or {}, **more)

    def call(self, tool, **arguments):
        event = self.record.call(self.toolbox, Call(tool, arguments))
        return self._check(event)

    def tell(self, *acts, **facts):
        pairs = frozenset((kind, value) for kind, values in facts.items() for value in ([values] if isinstance(values, str) else values))
        return self._check(self.record.text(Reading(acts=acts, facts=pairs, words=5)))

    def end(self):
        return self._check(self.record.end())

    def _check(self, event):
        violations = self.rulebook.check(self.record, event)
        self.broken += violations
        assert all(violation.index == event.index for violation in violations)
        return [violation.rule for violation in violations]
