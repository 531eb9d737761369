"""The rules of Tend: pure Python, no I/O, no Temporal, no SQL."""
