"""Settings and the data that ships: sequences, templates, policies."""
