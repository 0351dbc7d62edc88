"""The settings that each side is tuned over: as many on one side as on the other, chosen before any of them was timed.

Both lists have the learning rates around which 16 replies an update learn fastest, and the one device that each library offers
for making more of a batch.
"""

from __future__ import annotations

from typing import Any, Literal

Side = Literal["ours", "trl"]

TRIALS: dict[Side, dict[str, dict[str, Any]]] = {
    "ours": {
        "a2c lr 3e-4": {"algorithm": "a2c", "learning_rate": 3e-4},
        "a2c lr 5e-4": {"algorithm": "a2c", "learning_rate": 5e-4},
    },
    "trl": {
        "lr 3e-4": {"learning_rate": 3e-4},
        "lr 5e-4": {"learning_rate": 5e-4},
    },
}
