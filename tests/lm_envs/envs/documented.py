"""What docstrings of environments promise, beside what the environments return."""

import re
from collections import Counter

HEADINGS = ("Description", "Observation", "Action", "Reward", "Termination", "Truncation", "Info", "Arguments", "Version history")


def check_metrics(family):
    """The metrics under Info are the returned ones, and no heading is missing."""
    _, opening = family().reset(seed=0)
    assert _listed(_part(family, "Info")) == Counter(opening["metrics"].keys())
    for heading in HEADINGS:
        assert f"## {heading}\n" in family.__doc__


def check_signals(family, weights):
    """The signals under Reward are the returned ones, and those that the default reward weighs."""
    env = family()
    env.reset(seed=0)
    signals = env.advance("Hello.").signals
    assert _listed(_part(family, "Reward")) == Counter(signals.keys()) == Counter(weights.keys())


def check_formula(family, weights):
    """The formula under Reward has each signal's weight before its name."""
    for name, weight in weights.items():
        assert f"{abs(weight):g} {name}" in _part(family, "Reward").replace("``", "")


def _part(family, heading):
    return family.__doc__.split(f"## {heading}")[1].split("## ")[0]


def _listed(part):
    return Counter(re.findall(r"^ +- ``(\w+)``:", part, re.MULTILINE))
