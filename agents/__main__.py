"""`python -m agents train | evaluate | transcript | chat | reward-model | rlhf | annotate`."""

from __future__ import annotations

import sys

from lm_envs.extras import explained
from lm_envs.shadowing import check_agents

if __name__ == "__main__":
    try:
        check_agents()
        from agents.cli import main
    except ImportError as error:
        sys.exit(f"error: {explained(error)}")
    sys.exit(main())
