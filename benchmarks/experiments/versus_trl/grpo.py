"""TRL's side: ``GRPOTrainer``, as its good user would set it up on a CPU."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import Any, cast

import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from agents.models import load
from benchmarks.experiments.versus_trl.task import Curve, Task, compound, prompts
from lm_envs.chat import ChatFormat


class _Record(TrainerCallback):
    """Starts the clock when training starts and ends training when the curve says so."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._over = False

    def reward(self, completions: list[str], completion_ids: list[list[int]], **_: Any) -> list[float | None]:
        """The trainer's reward function: called once an iteration, with all its completions."""
        scores = compound(completions)
        self._over = self.curve.point(scores, completions, sum(map(len, completion_ids)))
        return list(scores)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.curve = Curve(self._task)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_training_stop = self._over


def run(task: Task, settings: Mapping[str, Any], seed: int) -> Curve:
    """Train until the goal or the cap.

    An iteration is ``replies`` completions of ``replies / num_generations`` prompts. TRL samples from all tokens, while our action space
    leaves out those that open turns or pad; the model gives these next to no probability.

    Args:
        task: what both sides share.
        settings: arguments of ``GRPOConfig``, and ``lora``: arguments of ``peft.LoraConfig``.
        seed: of sampling and the order of prompts.

    Raises:
        RuntimeError: when the trainer's tokenizer would read a prompt's text as other ids.
    """
    arguments = dict(settings)
    lora = arguments.pop("lora", None)
    model, tokenizer = load(task.model, device="cpu")
    openings = prompts(ChatFormat(cast(Any, tokenizer)))
    texts = [tokenizer.decode(ids) for ids in openings]
    if tokenizer(texts)["input_ids"] != openings:
        raise RuntimeError("the prompts' text doesn't give their ids back")
    record = _Record(task)
    with tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            output_dir=folder,
            seed=seed,
            use_cpu=not torch.cuda.is_available(),
            bf16=task.bf16,
            gradient_checkpointing=False,  # there is memory enough
            max_steps=100_000,
            max_completion_length=task.reply_tokens,
            temperature=1.0,
            beta=0.0,  # no KL, hence no reference model
            lr_scheduler_type="constant",
            **{"per_device_train_batch_size": task.replies, "num_generations": 4} | arguments,
            report_to="none",
            logging_strategy="no",
            save_strategy="no",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=record.reward,
            args=config,
            train_dataset=Dataset.from_dict({"prompt": texts}),
            processing_class=tokenizer,
            callbacks=[record],
            peft_config=_adapter(lora),
        )
        trainer.train()
    return record.curve


def _adapter(lora: Mapping[str, Any] | None) -> Any:
    if lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(task_type="CAUSAL_LM", **lora)
