"""Customer service: customers with needs, a shop with tools, company rules, and people who try to get around them."""

from lm_envs.envs.customer_service.env import CustomerServiceEnv

__all__ = ["CustomerServiceEnv"]
