"""Reading files that may be foreign or damaged: each failure is one sentence that names the file.

One reader per format: ``json_file``, ``parquet``, ``hdf5``, ``h5ad``, ``npz``, ``tensors``, and
``sparse`` for the matrices in them. Each takes ``error`` (the class to raise, one of ``framework.errors``), ``what``
(the file as a person calls it) and ``then`` (what to do about it); ``failures.reading`` is what they share. Nothing is
unpickled, no size that a file declares is believed before it is compared with the file, and no file leads to another.
"""
