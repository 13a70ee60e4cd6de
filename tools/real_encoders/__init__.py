"""Encoders that know real photographs, made from packages of PyPI and Debian alone."""
