"""Model bundles: manifest, networks on an engine, profiles, the built-in bundle."""

from .manifest import MANIFEST as MANIFEST
from .manifest import SCHEMA_VERSION as SCHEMA_VERSION
from .manifest import SEARCH_PATH_VARIABLE as SEARCH_PATH_VARIABLE
from .manifest import BoxesScores as BoxesScores
from .manifest import Bundle as Bundle
from .manifest import DetectorSpec as DetectorSpec
from .manifest import ExtractorSpec as ExtractorSpec
from .manifest import InputSpec as InputSpec
from .manifest import Manifest as Manifest
from .manifest import Network as Network
from .manifest import NetworkFile as NetworkFile
from .manifest import PicoDetLevels as PicoDetLevels
from .manifest import Postprocessed as Postprocessed
from .manifest import Precision as Precision
from .manifest import bundle_folders as bundle_folders
from .manifest import parse_manifest as parse_manifest
from .manifest import write_manifest as write_manifest
from .policy import DecisionPolicy as DecisionPolicy
from .policy import Target as Target
from .policy import WholeImage as WholeImage
