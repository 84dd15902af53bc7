"""What a look at images finds, of raw exports and finished datasets alike: sizes, focus, histograms, warnings."""
