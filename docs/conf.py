"""How `make docs` builds the site: from docs/ and the pages that a repository keeps at its root."""

project = "Device sessions"
html_title = project
extensions = ["myst_parser"]
root_doc = "docs/index"
# The source directory is the root of the repository, so that a link is the same here and on a
# page that displays the repository.
include_patterns = [
    "docs/*.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docker/README.md",
    "SECURITY.md",
]
exclude_patterns = [".*", "**/node_modules", "authx", "backend", "tasks", "tests", "requirements"]
templates_path = ["_templates"]
html_additional_pages = {"index": "redirect.html"}
html_theme = "furo"
html_copy_source = False
html_show_copyright = False
# Links to a heading, as `page.md#heading`, are checked like links to a page.
myst_heading_anchors = 4
nitpicky = True
