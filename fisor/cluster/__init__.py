"""The pipeline's stages run side by side: in this folder, or on the machines of a cluster."""
