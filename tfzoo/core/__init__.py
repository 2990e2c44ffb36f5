"""What every room uses: configs, inputs, outputs, variables, files, Keras's private hooks."""
