"""The demo: PPO, A2C and TRPO train the bundled model to write text of a given sentiment.

Each run trains on the train split and is judged on the test split, on the same scenarios before and after.
"""
