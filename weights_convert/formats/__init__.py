"""The file formats: safetensors, PyTorch's pickles, HDF5 of old TensorFlow classes."""
