"""Charts as pictures: Graphviz says where things stand, the drawing is our own."""
