"""Figures and tables of predicted omics, as Image2Omics shows them: entries of ``FIGURES``, one file per figure."""
