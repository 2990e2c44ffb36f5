"""Speed, load time and memory of tfzoo beside PyTorch; see `tests.benchmarks.__main__`."""
