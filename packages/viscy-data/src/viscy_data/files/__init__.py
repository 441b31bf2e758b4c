"""Files: written whole or not at all, by one writer at a time; and read strictly, within bounds.

A killed run must leave either the old file or the new one, and a file that somebody else wrote must not be
read as something that it does not say.

Read in this order:

- `whole`: files and folders that are there whole or not at all
- `locks`: one writer at a time
- `outputs`: what a command may replace, and what it never touches
- `room`: whether what will be written fits the disk
- `yaml_file`: YAML, strictly
- `tiff`: what a TIFF file says of its image, and its pixels; `tiff_text`: the text in it
"""
