"""Image to transcriptome on real single cells: DAPI of a breast cancer, transcripts counted per cell by Xenium."""
