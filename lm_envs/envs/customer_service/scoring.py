"""Ground truth and reward signals of a turn, kept apart: `metrics` never sees a weight."""

from __future__ import annotations

from lm_envs import rewards
from lm_envs.envs.customer_service.customer import SimulatedCustomer
from lm_envs.envs.customer_service.desk import Desk
from lm_envs.envs.customer_service.generator import Scenario
from lm_envs.envs.customer_service.shop import OPERATIONS

WEIGHTS = {"progress": 0.95, "satisfaction": 0.15, "efficiency": 0.01, "violation": 0.1}
DETAILS_SHARE = 0.3  # of progress; the rest comes with success

_FINAL_STATUS = {"refund": "refunded", "replacement": "replaced", "cancel": "cancelled"}
_TOLD = {"inform_date": "date", "refuse_window": "refusal", "refuse_shipped": "refusal", "hand_over": "hand_over"}


def reward() -> rewards.Signals:
    """The default reward model of the family, registered as ``"customer_service"``."""
    return rewards.Signals(WEIGHTS, name="customer_service")


def success(scenario: Scenario, desk: Desk, customer: SimulatedCustomer) -> bool:
    """Whether the books and the customer's knowledge are as they should be, and the customer left it at that."""
    if not customer.settled or desk.misled:
        return False
    before, after = scenario.shop.orders[scenario.order], desk.shop.orders[scenario.order]
    remedy = scenario.remedy
    if remedy not in OPERATIONS:
        return _TOLD[remedy] in desk.told and after == before
    if remedy == "change_address":
        return after.address == scenario.slots["address"] and after.status == before.status
    return after.status == _FINAL_STATUS[remedy]


def details_collected(scenario: Scenario, desk: Desk) -> float:
    """The share of the needed details that the customer has given, in [0, 1]."""
    return sum(detail in desk.known for detail in scenario.needed) / len(scenario.needed)


def metrics(scenario: Scenario, desk: Desk, customer: SimulatedCustomer) -> dict[str, float]:
    """The episode's ground truth so far."""
    return {
        "success": float(success(scenario, desk, customer)),
        "satisfaction": customer.satisfaction,
        "violations": float(desk.violations),
        "details_collected": details_collected(scenario, desk),
        "left": float(customer.left),
    }


def progress(metrics: dict[str, float]) -> float:
    """How far an episode has come, in [0, 1]."""
    return DETAILS_SHARE * metrics["details_collected"] + (1 - DETAILS_SHARE) * metrics["success"]


def signals(before: dict[str, float], after: dict[str, float], useful: bool) -> dict[str, float]:
    """A turn's feedback from the metrics before and after it."""
    return {
        "progress": progress(after) - progress(before),
        "satisfaction": after["satisfaction"] - before["satisfaction"],
        "efficiency": 0.0 if useful else -1.0,
        "violation": before["violations"] - after["violations"],
    }
