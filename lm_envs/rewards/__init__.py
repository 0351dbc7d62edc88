"""Reward models: any callable from a batch of exchanges to a batch of scores.

    def reward(exchanges: Sequence[Exchange]) -> Sequence[float]: ...

Environments take one, or its registered name, as ``gym.make(..., reward=…)``.
"""

from lm_envs.rewards.base import Composite, Shared
from lm_envs.rewards.classifier import HFClassifier
from lm_envs.rewards.clip import Clip
from lm_envs.rewards.constitution import Constitution
from lm_envs.rewards.criterion import Criterion, criteria
from lm_envs.rewards.embedding_similarity import EmbeddingSimilarity
from lm_envs.rewards.endpoint_judge import EndpointJudge
from lm_envs.rewards.fluency import Fluency
from lm_envs.rewards.function import Function
from lm_envs.rewards.gate import Gate
from lm_envs.rewards.judge import Judge
from lm_envs.rewards.length import Length
from lm_envs.rewards.registry import names, register, resolve
from lm_envs.rewards.repetition import Repetition
from lm_envs.rewards.rubric import Rubric
from lm_envs.rewards.scoring import RewardModelError, Score, score
from lm_envs.rewards.signals import Signals
from lm_envs.rewards.trained import TrainedReward
from lm_envs.rewards.vader import VaderSentiment
from lm_envs.rewards.weighted_sum import WeightedSum

__all__ = [
    "Clip",
    "Composite",
    "Constitution",
    "Criterion",
    "EmbeddingSimilarity",
    "EndpointJudge",
    "Fluency",
    "Function",
    "Gate",
    "HFClassifier",
    "Judge",
    "Length",
    "Repetition",
    "RewardModelError",
    "Rubric",
    "Score",
    "Shared",
    "Signals",
    "TrainedReward",
    "VaderSentiment",
    "WeightedSum",
    "criteria",
    "names",
    "register",
    "resolve",
    "score",
]

register("vader", VaderSentiment)
register("length", Length)
register("repetition", Repetition)
register("fluency", Fluency)
register("classifier", HFClassifier)
register("similarity", EmbeddingSimilarity)
register("judge", Judge)
register("endpoint_judge", EndpointJudge)
register("constitution", Constitution)
register("rubric", Rubric)
register("customer_service", "lm_envs.envs.customer_service.scoring:reward")
register("sentiment_classification", "lm_envs.envs.sentiment_classification.scoring:reward")
register("dialogue", "lm_envs.envs.dialogue.scoring:reward")
register("twenty_questions", "lm_envs.envs.twenty_questions.scoring:reward")
register("negotiation", "lm_envs.envs.negotiation.scoring:reward")
