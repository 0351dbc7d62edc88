"""Models behind servers that speak OpenAI's chat-completions protocol: requests that are tried again, limits, a cache.

endpoint = ChatEndpoint("http://localhost:8000/v1", "my-model", key_variable="MY_KEY", requests_per_minute=60, token_budget=1_000_000)
endpoint.complete({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20}).content
"""

from lm_envs.endpoint.answer import Answer
from lm_envs.endpoint.cache import AnswerCache
from lm_envs.endpoint.client import ChatEndpoint, EndpointError
from lm_envs.endpoint.limits import Budget, BudgetSpent, RateLimit

__all__ = ["Answer", "AnswerCache", "Budget", "BudgetSpent", "ChatEndpoint", "EndpointError", "RateLimit"]
