"""The checks that every environment must pass, for anyone's environments.

    from lm_envs.testing import check_text_env

    def test_my_environment():
        check_text_env(MyEnv)                       # or an id: check_text_env("my_package:mine/MyEnv-v0")

``python -m lm_envs check ID`` runs the same checks and shows a table.
"""

from lm_envs.testing.running import EnvCheckError, Finding, check_text_env, check_token_env, check_vector, run

__all__ = ["EnvCheckError", "Finding", "check_text_env", "check_token_env", "check_vector", "run"]
