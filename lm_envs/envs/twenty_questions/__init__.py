"""Find out by yes-or-no questions what someone thinks of."""

from lm_envs.envs.twenty_questions.env import TwentyQuestionsEnv

__all__ = ["TwentyQuestionsEnv"]
