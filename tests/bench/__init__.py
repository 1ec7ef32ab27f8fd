"""How fast it is, against the raw engine in the same run. Run by `make bench` alone: figures are no tests."""
