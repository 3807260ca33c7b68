"""Training of a bundle's objectness network: which of the boxes that its detector finds are products."""
