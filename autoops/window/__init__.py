"""What an operator edits by hand: what the registry was before, what was changed, and whether it can be taken over.

In the order in which a window goes: `seal` (the worker lets go), `snapshot`, then any tool of the operator's, `inspect`, `admit`.
"""
