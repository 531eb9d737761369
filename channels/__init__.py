"""Adapters to the carriers. Provider words end here: inwards only the words of `domain/` are spoken."""
