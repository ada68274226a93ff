"""Sphinx settings. The pages are Markdown (MyST); `make docs` turns every warning into an error."""

from importlib.metadata import version as installed_version

project = "Tacit"
author = "The Tacit maintainers"
copyright = "The Tacit maintainers"
version = release = installed_version("tacit")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.doctest"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

html_theme = "alabaster"
html_theme_options = {
    "description": "Parties compute together on data that none of them shows.",
    "page_width": "1100px",
}
html_show_sourcelink = False
