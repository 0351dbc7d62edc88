"""Short ways to write exchanges, and a reward model that counts its calls."""

from lm_envs.types import Exchange


def exchange(reply, *, said=(), user="hi", **fields):
    """An exchange whose earlier replies are `said`."""
    earlier = [m for text in said for m in ({"role": "user", "content": user}, {"role": "assistant", "content": text})]
    return Exchange((*earlier, {"role": "user", "content": user}, {"role": "assistant", "content": reply}), **fields)


class Counting:
    """Scores the length of the reply; keeps the batches it was called with."""

    def __init__(self, name="counting"):
        self.name = name
        self.batches = []

    def __call__(self, exchanges):
        self.batches.append([e.reply for e in exchanges])
        return [float(len(e.reply)) for e in exchanges]


class TwoParts:
    """Has components without declaring their names."""

    name = "two_parts"

    def components(self, exchanges):
        return {"one": [1.0] * len(exchanges), "length": [float(len(e.reply)) for e in exchanges]}

    def __call__(self, exchanges):
        return [1.0 + len(e.reply) for e in exchanges]
