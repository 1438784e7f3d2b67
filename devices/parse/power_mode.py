"""Power modes of Jetson boards, from the files in which nvpmodel keeps them; readable without root.

/etc/nvpmodel.conf: `< POWER_MODEL ID=2 NAME=MAXN_SUPER >` for each mode and `< PM_CONFIG DEFAULT=1 >`;
/var/lib/nvpmodel/status: `pmode:0002`, the mode that was set last.
"""

import re


def parse_power_modes(conf: str) -> dict[int, str]:
    """Return the modes of nvpmodel.conf, names by number; {} where there are none."""
    found = re.findall(
        r"^<\s*POWER_MODEL\s+ID=(\d{1,4})\s+NAME=([\w.+-]+)", conf, re.MULTILINE | re.ASCII
    )
    return {int(number): name for number, name in found}


def parse_default_mode(conf: str) -> int | None:
    """Return the number of the mode that nvpmodel.conf sets at a first start; None where it names none."""
    found = re.search(r"^<\s*PM_CONFIG\s+DEFAULT=(\d{1,4})\s*>", conf, re.MULTILINE | re.ASCII)
    return int(found[1]) if found else None


def parse_active_mode(status: str) -> int | None:
    """Return the number of the mode in nvpmodel's status; None where it names none."""
    found = re.match(r"pmode:(\d{1,4})\b", status.strip(), re.ASCII)
    return int(found[1]) if found else None
