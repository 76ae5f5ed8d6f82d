"""What a network with two inputs says of every point of the plane: its answer, and each hidden neuron by itself."""
