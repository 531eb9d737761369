"""The durable shell: an interpreter of the next action."""
