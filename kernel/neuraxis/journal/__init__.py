"""The journal: the durable truth of a run. See `record` for what it holds, `write` and `read` for how."""
