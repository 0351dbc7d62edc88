"""Customer service: a customer with an order problem, a small shop, company rules."""

from lm_envs.envs.customer_service.env import CustomerServiceEnv

__all__ = ["CustomerServiceEnv"]
