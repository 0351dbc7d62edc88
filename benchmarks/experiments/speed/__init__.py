"""What the engine costs, each figure a ratio of two sides measured in turns in one run."""
