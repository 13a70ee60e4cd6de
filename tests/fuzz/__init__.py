"""Damaged inputs of every format: each is read right or refused in one line; nothing is lost."""
