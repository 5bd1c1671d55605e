"""null is a filter on Debian's pymilter (python3-milter) that asks for every
phase and has no opinion, a peer for the benchmark.

    python3 null.py unix:/tmp/null.sock
"""
import sys

import Milter


class Null(Milter.Base):
    def connect(self, hostname, family, hostaddr):
        return Milter.CONTINUE

    def hello(self, hostname):
        return Milter.CONTINUE

    def envfrom(self, f, *params):
        return Milter.CONTINUE

    def envrcpt(self, to, *params):
        return Milter.CONTINUE

    def data(self):
        return Milter.CONTINUE

    def header(self, field, value):
        return Milter.CONTINUE

    def eoh(self):
        return Milter.CONTINUE

    def body(self, chunk):
        return Milter.CONTINUE

    def unknown(self, command):
        return Milter.CONTINUE

    def eom(self):
        return Milter.ACCEPT

    def abort(self):
        return Milter.CONTINUE

    def close(self):
        return Milter.CONTINUE


Milter.factory = Null
Milter.set_flags(0)
Milter.runmilter("null", sys.argv[1])
