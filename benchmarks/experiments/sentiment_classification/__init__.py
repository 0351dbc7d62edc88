"""Classifiers on human-rated texts by domain, and how they transfer: ``python -m benchmarks sentiment-classification``."""
