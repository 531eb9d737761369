"""Callbacks of providers: verified, then stored once."""
