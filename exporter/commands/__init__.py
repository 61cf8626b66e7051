"""One module for each command. Each has `add_arguments(parser)` and `run(arguments)`, which returns the exit code."""
