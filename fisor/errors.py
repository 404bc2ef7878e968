"""Errors whose message is for the user: what is wrong, where, and what to do."""


class InputError(Exception):
    """Bad input: a parameter, a file or an argument. Stages print it and exit with 1."""
