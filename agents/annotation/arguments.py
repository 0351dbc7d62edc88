"""Arguments of ``python -m agents annotate``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agents.arguments import arg, json_object


@dataclass(frozen=True)
class AnnotateArgs:
    """Ask people which of two replies is better, on a local page; report and export what they said."""

    pairs: str | None = arg(None, "what to judge: a .jsonl or .csv file with prompt, a and b; new with --models", type=str)
    columns: dict[str, Any] = arg(None, 'what the file calls them, as JSON, such as \'{"a": "chosen"}\'', type=json_object)
    judgements: str | None = arg(None, "the file they are appended to (default: the pairs' name with .judgements.jsonl)", type=str)
    overlap: float = arg(1.0, "share of the pairs that every annotator judges; one is enough for the others")
    port: int = arg(8765, "of the page, on this machine alone; 0 for any that is free")
    models: list[str] | None = arg(None, "write the pairs first: the first replies of these two models", nargs=2, metavar=("A", "B"))
    env: str = arg("lm_envs/SentimentTokens-v0", "id of the token environment they reply in")
    env_kwargs: dict[str, Any] = arg(None, "its keyword arguments, as JSON", type=json_object)
    split: str = arg("test", "scenarios", choices=["train", "test"])
    episodes: int = arg(50, "how many")
    temperature: float | None = arg(None, "of --models; 0 takes the most likely token (default: that of training)", type=float)
    device: str = arg("auto", "cpu, cuda, or auto")
    seed: int = arg(0, "of what models write, of the order and of the sides")
    report: str | None = arg(None, "print what a file of judgements says, and stop", type=str, metavar="JUDGEMENTS")
    json: str | None = arg(None, "file for the report", type=str)
    export: str | None = arg(None, "write what was preferred to this .jsonl file (prompt, chosen, rejected), and stop", type=str)
