"""The main job on view: a stack of its own, imitated people, a live table."""
