"""The command line: a small client of the REST interface. It needs Python and nothing else."""
