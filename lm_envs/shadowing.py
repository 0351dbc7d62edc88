"""Whether ``import agents`` finds this project's package: the distribution openai-agents installs one of the same name."""

from __future__ import annotations

import sys
from importlib import metadata, util
from pathlib import Path

_RIVAL = "openai-agents"
_MARK = "vec_env.py"  # a file that only this project's package has


def check_agents() -> None:
    """Do nothing where ``agents`` is this project's package and nothing else.

    Raises:
        ImportError: where it is another package, or where the files of both lie in one folder.
    """
    module = sys.modules.get("agents")
    spec = getattr(module, "__spec__", None) or util.find_spec("agents")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else None
    remedy = f"use an environment of its own for lm-envs, or: pip uninstall {_RIVAL}, then install lm-envs again"
    if folder is None or not (folder / _MARK).is_file():
        raise ImportError(f"the package 'agents' at {folder} is not the one of lm-envs ({_RIVAL} installs one of that name); {remedy}")
    try:
        rival = metadata.distribution(_RIVAL)
    except metadata.PackageNotFoundError:
        return
    if any(Path(str(rival.locate_file(file))).resolve().parent == folder.resolve() for file in rival.files or ()):
        raise ImportError(f"{_RIVAL} has installed its files among those of lm-envs in {folder}; {remedy}")
