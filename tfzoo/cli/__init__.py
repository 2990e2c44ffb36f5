"""The subcommands of the `tfzoo` command, one module each.

A command module has `add_to(subparsers)`, which declares its arguments, and `run(args)`, which
does the work and raises on failure; `tfzoo.cli.__main__` turns exceptions into exit codes.
"""
