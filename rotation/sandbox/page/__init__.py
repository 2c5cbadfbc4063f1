"""The page on loopback that shows a running sandbox and lets a person act on it.

`server` answers the browser, `actions` has what its buttons do, `view` what it shows. The page
names keys by their id. Key material is in none of its answers.
"""
