"""Human judgements of pairs of replies: a local page that asks which is better, the file that keeps the answers, and what they say.

pairs = read_pairs("pairs.jsonl")
with Log("pairs.judgements.jsonl") as log, Server(Study(pairs, log)) as server:
    server.run()
"""
