"""What a service desk teaches: a supervised start on an expert's transcripts, then PPO, judged on customers of the other split.

Three arms share sizes and seeds: ordinary customers; adversaries among them; and ordinary customers again for an agent that sees the last
message alone, which tells whether the task needs the conversation.
"""
