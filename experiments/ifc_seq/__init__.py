"""IFC-seq: expression per cell predicted from images of an imaging flow cytometer."""
