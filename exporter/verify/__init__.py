"""Checks of all running parts, from the table to the message: the command `verify`."""
