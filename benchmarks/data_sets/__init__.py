"""Generators of the data sets that the bars are measured on; `make_data_set.py` beside this folder writes them."""
