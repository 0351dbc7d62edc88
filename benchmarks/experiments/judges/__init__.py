"""How good rewards without training are as judges: ``python -m benchmarks judges``."""
