"""One folder an experiment: what runs (``sweep``) and what is made of it (``analysis``)."""
