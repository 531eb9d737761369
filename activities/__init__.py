"""Activities: one effect each, typed against the domain's ports."""
