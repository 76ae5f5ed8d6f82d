"""What runs a graph, one file a runtime behind one seam."""
