"""Every id of this package. Strings only: registering imports no family and reads no file."""

from __future__ import annotations

from gymnasium import register

FAMILIES = {
    "Sentiment": "lm_envs.envs.sentiment:SentimentEnv",
    "Dialogue": "lm_envs.envs.dialogue:DialogueEnv",
    "CustomerService": "lm_envs.envs.customer_service:CustomerServiceEnv",
    "TwentyQuestions": "lm_envs.envs.twenty_questions:TwentyQuestionsEnv",
    "Negotiation": "lm_envs.envs.negotiation:NegotiationEnv",
    "SentimentClassification": "lm_envs.envs.sentiment_classification:SentimentClassificationEnv",
}
# Tokens of a context and of a reply; with the bundled tokenizer the experts never fill them.
LIMITS = {
    "Sentiment": {"max_length": 256, "max_reply_tokens": 32},
    "Dialogue": {"max_length": 1024, "max_reply_tokens": 40},
    "CustomerService": {"max_length": 1536, "max_reply_tokens": 64},
    "TwentyQuestions": {"max_length": 1024, "max_reply_tokens": 32},
    "Negotiation": {"max_length": 1024, "max_reply_tokens": 32},
    "SentimentClassification": {"max_length": 512, "max_reply_tokens": 8},
}


def register_all() -> None:
    """Register a text id and a token id for each family, single and batched, and the choice level of those that have it."""
    for name, text_env in FAMILIES.items():
        register(
            id=f"lm_envs/{name}-v0",
            entry_point="lm_envs.factories:text",
            vector_entry_point="lm_envs.factories:text_vector",
            kwargs={"text_env": text_env},
        )
        register(
            id=f"lm_envs/{name}Tokens-v0",
            entry_point="lm_envs.factories:tokens",
            vector_entry_point="lm_envs.factories:token_vector",
            kwargs={"text_env": text_env, **LIMITS[name]},
        )
    register(
        id="lm_envs/CustomerServiceActs-v0",
        entry_point="lm_envs.envs.customer_service.acts_env:CustomerServiceActsEnv",
    )
    register(
        id="lm_envs/SentimentClassificationActs-v0",
        entry_point="lm_envs.envs.sentiment_classification.acts_env:SentimentClassificationActsEnv",
    )
    register(id="lm_envs/DialogueActs-v0", entry_point="lm_envs.envs.dialogue.acts_env:DialogueActsEnv")
