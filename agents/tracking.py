"""What a training run shows and keeps: a progress bar, ``metrics.jsonl`` and ``metrics.csv``, and trackers."""

from __future__ import annotations

import csv
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger, TensorBoardOutputFormat
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

TRACKERS = ("tensorboard", "wandb", "mlflow", "none")
KL_NAMES = ("train/approx_kl", "train/kl_divergence_loss")  # of PPO and TRPO; A2C reports none


class History(KVWriter):
    """One JSON object an iteration in ``metrics.jsonl``, and at the end all of them in ``metrics.csv``.

    Args:
        folder: of the run.
        from_step: rows of a resumed run that lie after its checkpoint are dropped, for they will be written again.
    """

    def __init__(self, folder: Path, from_step: int = 0) -> None:
        self._file, self._table = folder / "metrics.jsonl", folder / "metrics.csv"
        self.rows: list[dict[str, float]] = []
        if self._file.exists():
            rows = [json.loads(line) for line in self._file.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
            self.rows = [row for row in rows if row["step"] <= from_step]
        self._file.write_text("".join(json.dumps(row) + "\n" for row in self.rows), encoding="utf-8")

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Append a row; values that aren't finite numbers are left out."""
        row = {"step": step, **_numbers(key_values)}
        self.rows.append(row)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def close(self) -> None:
        """Write the table."""
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with self._table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(self.rows)


class _WandB(KVWriter):
    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        import wandb

        self._run = wandb.init(project="lm-envs", name=folder.name, dir=str(folder), config=settings)

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        self._run.log(_numbers(key_values), step=step)

    def close(self) -> None:
        self._run.finish()


class _MLflow(KVWriter):
    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        import mlflow

        self._mlflow = mlflow
        if not mlflow.is_tracking_uri_set():
            mlflow.set_tracking_uri(f"sqlite:///{folder.parent.resolve() / 'mlflow.db'}")
        mlflow.set_experiment("lm-envs")
        mlflow.start_run(run_name=folder.name)
        mlflow.log_params({name: str(value)[:500] for name, value in settings.items()})

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        self._mlflow.log_metrics(_numbers(key_values), step=step)

    def close(self) -> None:
        self._mlflow.end_run()


def run_logger(folder: Path, tracker: str, settings: dict[str, Any], from_step: int = 0) -> tuple[Logger, History]:
    """A logger for ``algo.set_logger`` that keeps a history in ``folder`` and feeds a tracker, and that history.

    Args:
        folder: of the run; it exists.
        tracker: one of :data:`TRACKERS`.
        settings: of the run, for trackers that show them.
        from_step: see :class:`History`.

    Raises:
        ImportError: when the tracker isn't installed; the message names the extra.
    """
    history = History(folder, from_step)
    writers: list[KVWriter] = [history]
    try:
        if tracker == "tensorboard":
            writers.append(TensorBoardOutputFormat(str(folder)))
        elif tracker == "wandb":
            writers.append(_WandB(folder, settings))
        elif tracker == "mlflow":
            writers.append(_MLflow(folder, settings))
    except (ModuleNotFoundError, AssertionError) as error:  # SB3 asserts that tensorboard is there
        extra = "agents" if tracker == "tensorboard" else "trackers"
        raise ImportError(f'--tracker {tracker} needs a package that is not installed: pip install "lm-envs[{extra}]"') from error
    return Logger(str(folder), cast(Any, writers)), history


class EpisodeMetrics(BaseCallback):
    """Logs, for each rollout, means over its finished episodes of ground-truth metrics, and of the reward's parts over its replies."""

    def _on_rollout_start(self) -> None:
        self._seen: dict[str, list[float]] = defaultdict(list)

    def _on_step(self) -> bool:
        for info, done in zip(self.locals["infos"], self.locals["dones"], strict=True):
            for name, value in info.get("rewards", {}).items():
                self._seen[f"reward/{name}"].append(value)
            if done:
                for name, value in info.get("metrics", {}).items():
                    self._seen[f"metrics/{name}"].append(value)
                if "episode" in info:
                    self._seen["rollout/reward"].append(float(info["episode"]["r"]))
        return True

    def _on_rollout_end(self) -> None:
        for name, values in self._seen.items():
            self.logger.record(name, float(np.mean(values)))
        self.logger.record("rollout/episodes", len(self._seen["rollout/reward"]))


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f} tokens/s", style="cyan")


def progress_bar(console: Console) -> Progress:
    """Columns that suit a run: share done, tokens/s, elapsed and remaining time, and what the task's ``note`` says."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        _Rate(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
    )


class ProgressBar(BaseCallback):
    """Shows a run as it goes; where the output is no terminal, a line about every tenth of it.

    Args:
        total: tokens of the whole run, those before a resume included.
        label: shown in front.
        console: where to write.
    """

    def __init__(self, total: int, label: str, console: Console | None = None) -> None:
        super().__init__()
        self.total, self.label = total, label
        self.console = console or Console()
        self.seconds = 0.0  # of training
        self._bar = progress_bar(self.console)

    def _on_training_start(self) -> None:
        self._started, self._first, self._said = time.perf_counter(), self.num_timesteps, 0.0
        if self.console.is_terminal:
            self._bar.start()
        self._task = self._bar.add_task(self.label, total=self.total, completed=self.num_timesteps, note="")

    def _on_step(self) -> bool:
        self._bar.update(self._task, completed=self.num_timesteps)
        return True

    def _on_rollout_end(self) -> None:
        self.seconds = time.perf_counter() - self._started
        note = self._note()
        self._bar.update(self._task, note=note)
        share = self.num_timesteps / self.total
        if not self.console.is_terminal and share >= self._said + 0.1:
            self._said = share
            rate = (self.num_timesteps - self._first) / self.seconds
            self.console.print(f"{self.label} {share:4.0%} {rate:,.0f} tokens/s  {note}", highlight=False)

    def _on_training_end(self) -> None:
        self.seconds = time.perf_counter() - self._started
        self.close()

    def close(self) -> None:
        """Stop drawing."""
        if self._bar.live.is_started:
            self._bar.stop()

    def _note(self) -> str:
        episodes = cast(OnPolicyAlgorithm, self.model).ep_info_buffer or ()
        reward = f"reward {np.mean([episode['r'] for episode in episodes]):.3f}" if episodes else "reward -"
        kl = next((self.logger.name_to_value[name] for name in KL_NAMES if name in self.logger.name_to_value), None)
        return reward if kl is None else f"{reward}  KL {kl:.4f}"


def _numbers(key_values: dict[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in key_values.items()
        if isinstance(value, (int, float, np.integer, np.floating)) and np.isfinite(value)
    }
