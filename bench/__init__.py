"""Benchmarks: they print what was measured beside what is aimed at, and never pass or fail on speed."""
