"""The reader on replies by somebody else: those with even ids were looked at while it was widened, the odd ones only scored."""

import json
from collections import Counter
from pathlib import Path

import pytest

from lm_envs.envs.customer_service.acts import AGENT_ACTS, FACTS
from lm_envs.envs.customer_service.understanding import read

ROWS = [json.loads(line) for line in (Path(__file__).parent / "second_author.jsonl").read_text("utf-8").splitlines()]


def macro_f1(rows):
    hits, extra, missed = Counter(), Counter(), Counter()
    for row in rows:
        reading = read(row["text"])
        want, got = {*row["acts"], *map(tuple, row["facts"])}, {*reading.acts, *reading.facts}
        for counter, labels in ((hits, want & got), (extra, got - want), (missed, want - got)):
            counter.update(label if isinstance(label, str) else f"fact {label[0]}" for label in labels)
    labels = [label for label in hits | missed if hits[label] + missed[label]]
    return sum(2 * hits[x] / (2 * hits[x] + extra[x] + missed[x]) for x in labels) / len(labels)


def test_the_set_is_broad_and_of_the_vocabulary():
    acts = Counter(act for row in ROWS for act in row["acts"])
    kinds = Counter(kind for row in ROWS for kind, _ in row["facts"])
    assert len(ROWS) >= 450 and len({row["text"] for row in ROWS}) == len(ROWS) == len({row["id"] for row in ROWS})
    assert set(acts) == set(AGENT_ACTS) and min(acts.values()) >= 8
    assert set(kinds) == set(FACTS) and min(kinds.values()) >= 10


@pytest.mark.parametrize(("odd", "least"), [(False, 0.94), (True, 0.89)])
def test_replies_of_a_second_author(odd, least):
    assert macro_f1([row for row in ROWS if row["id"] % 2 == odd]) >= least
