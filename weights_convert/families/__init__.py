"""One module per family, data only: the rows that lead from tfzoo's names to the checkpoint's."""
