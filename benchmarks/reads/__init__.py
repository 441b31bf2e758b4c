"""What `reading.py` measures: the stores it writes, the plans it reads by, and who reads them."""
