"""Run uv with pip's settings: `python .ci/uv_as_pip.py pip sync requirements.lock`.

uv reads neither pip's configuration files nor its PIP_* variables, so a machine that is set up for pip alone would send
it to the wrong registry. What has been set for uv itself is left as it is.
"""

import ast
import os
import subprocess
import sys

# pip's option: uv's variable, and what separates its values. pip separates by white space.
VARIABLES = {
    "index_url": ("UV_DEFAULT_INDEX", " "),
    "extra_index_url": ("UV_INDEX", " "),
    "find_links": ("UV_FIND_LINKS", ","),
    "trusted_host": ("UV_INSECURE_HOST", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "proxy": ("ALL_PROXY", " "),
}
SECTIONS = ("global", "install", ":env:")  # a later one wins over an earlier one, as in pip


def uv_variables(pip_config: str) -> dict[str, str]:
    """uv's variables for the settings that `pip config list` printed, one `section.option='value'` a line."""
    settings: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in pip_config.splitlines():
        name, _, value = line.partition("=")
        section, _, option = name.rpartition(".")
        if section in settings:
            settings[section][option.replace("-", "_")] = ast.literal_eval(value)
    effective = {option: value for section in SECTIONS for option, value in settings[section].items()}
    variables = {
        variable: separator.join(effective[option].split())
        for option, (variable, separator) in VARIABLES.items()
        if effective.get(option)
    }
    if "UV_INDEX" in variables:
        # To pip all indexes are one. The hashes in requirements.lock say which files are meant, whoever serves them.
        variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return variables


def main() -> None:
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, stdout=subprocess.PIPE, text=True
    )
    os.execve(sys.executable, [sys.executable, "-m", "uv", *sys.argv[1:]], uv_variables(listing.stdout) | os.environ)


if __name__ == "__main__":
    main()
