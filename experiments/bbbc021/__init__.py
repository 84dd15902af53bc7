"""BBBC021: mechanisms of action of compounds from profiles of wells (Caie 2010, Ljosa 2013)."""
