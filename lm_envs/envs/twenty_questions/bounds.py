"""How few questions any player could do with, beside the exact mean of the greedy player.

python -m lm_envs.envs.twenty_questions.bounds
"""

from __future__ import annotations

from collections.abc import Iterator
from math import log2

import numpy as np

from lm_envs.envs.twenty_questions.search import after_answer, everything, next_move
from lm_envs.envs.twenty_questions.table import table


def turns_of(thing: str) -> int:
    """Questions and guesses that the greedy player needs for a thing, the right guess included."""
    left, turns = everything(), 0
    while True:
        turns += 1
        kind, name = next_move(left)
        if kind == "guess" and name == thing:
            return turns
        if kind == "guess":
            left[table().things.index(name)] = False
        else:
            left = after_answer(left, name, table().answer(thing, name))


def fewest_turns(things: int, answers: int = 2) -> float:
    """The least expected number of turns of any player, were every question allowed that has so many answers.

    Dynamic programming over how many things are left: a turn guesses one of them, or divides them as the player likes. No table of
    attributes allows for less. Without guesses that may be right, it would be the mean length of a Huffman code, and one turn more.
    """
    total = [0, 1]  # turns of all things together, by how many are left
    pairs = [0, 1]  # the same, after they have been divided into two parts at no cost
    for count in range(2, things + 1):
        halves = min(total[part] + total[count - part] for part in range(1, count // 2 + 1)) if answers > 1 else 0
        thirds = min((pairs[count - part] + total[part] for part in range(1, count // 3 + 1)), default=halves)
        total.append(count + min(total[count - 1], halves, thirds if answers > 2 else halves))
        pairs.append(min(halves, total[count]))
    return total[things] / things


def huffman(things: int, answers: int = 2) -> float:
    """Mean length of a Huffman code of so many symbols for as many equally probable things, in symbols."""
    depth, leaves = 0, 1
    while leaves * answers <= things:
        depth, leaves = depth + 1, leaves * answers
    split = -(-(things - leaves) // (answers - 1))  # leaves that become inner nodes
    return (depth * (leaves - split) + (depth + 1) * (things - leaves + split)) / things


def report() -> Iterator[str]:
    """The bounds and the greedy player's mean, a line each."""
    count = len(table().things)
    yield f"things {count}, attributes {len(table().attributes)}, log2 of the things {log2(count):.2f} bits"
    for answers in (2, 3):
        yield (
            f"{answers} answers to any question: Huffman code {huffman(count, answers):.2f} questions before the guess; "
            f"least expected turns, guesses included, {fewest_turns(count, answers):.2f}"
        )
    turns = {thing: turns_of(thing) for thing in table().things}
    yield f"greedy player with this table: mean {np.mean(list(turns.values())):.2f} turns, most {max(turns.values())}"
    for split, places in table().splits.items():
        yield f"  {split} split, {len(places)} things: {np.mean([turns[table().things[at]] for at in places]):.2f}"


if __name__ == "__main__":
    print(*report(), sep="\n")
