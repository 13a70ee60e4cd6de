"""Inputs as people bring them, and what becomes of each: `python -m tests.inputs FOLDER`."""
