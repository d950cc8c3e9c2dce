"""How the adapters of each family name layers, by the family's name."""

from collections.abc import Mapping

from darkroom.lora_files.flux1 import FLEX2_NAMING, FLUX_NAMING
from darkroom.lora_files.flux2 import FLUX2_NAMING
from darkroom.lora_files.naming import AdapterNaming
from darkroom.lora_files.zimage import Z_IMAGE_NAMING

NAMINGS: Mapping[str, AdapterNaming] = {
    "flux2": FLUX2_NAMING,
    "flux": FLUX_NAMING,
    "flex2": FLEX2_NAMING,
    "zimage": Z_IMAGE_NAMING,
}
