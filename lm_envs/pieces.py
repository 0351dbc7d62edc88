"""How the bundled model's tokenizer takes a text apart before it is encoded; `agents/tiny.py` trains the tokenizer with it."""

_BEFORE_NAME = r"(?: (?=[A-Z\d]|[^\s@]+@))?"
PIECES = "|".join(
    (
        rf"'(?:s|t|re|ve|m|ll|d)\b{_BEFORE_NAME}",
        rf"\d{{1,2}}{_BEFORE_NAME}",
        rf" ?[^\W\d_]+{_BEFORE_NAME}",
        rf" ?(?:[^\s\w]|_)+{_BEFORE_NAME}",
        r"\s+",
    )
)
"""What tokens may not reach beyond: words with the space before them, numbers by two digits. A space before a name, a code, a number or an
e-mail address belongs to what comes before, so that what somebody said has the same tokens in a tool call, and can be copied."""
