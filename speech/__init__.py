"""Hearing and speaking.

OpenMP, which CTranslate2 brings, reads its wait policy when it is loaded, so that is set before anything here is
imported. By default its threads wait for each other without letting go of their cores; where something else wants those
too, a question that Whisper understands in half a second takes it fifteen.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
