"""The command line: parse, call the library, draw, exit status; nothing else. One file a command."""
