"""Mutants that behave as the rules do, each with the reason why no test can tell them apart."""

EQUIVALENT: dict[str, str] = {}
