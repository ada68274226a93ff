"""A system that multiplies in the clear, and misbehaves on request; started as a worker by test_harness.py."""

import os
import sys
import time

from benchmarks.systems.worker import Dealt, Outcome, serve


class Fake:
    def start(self, protocol, tls):
        sys.stdout.write("chatter that must not reach the controller\n")
        return 0.25

    def prepare(self, case, inputs):
        if case == "sort":
            raise NotImplementedError("no sort here")
        self.case, self.inputs, self.runs = case, inputs, 0

    def deal(self):
        self.dealings = getattr(self, "dealings", 0) + 1
        return Dealt(0.1 * self.dealings, 500)

    def run(self, warm_up):
        self.runs += not warm_up
        if self.case == "less":
            raise RuntimeError("parties disagree")
        if self.case == "relu":
            os._exit(1)
        if self.case == "exp":
            time.sleep(60)
        return 0.5 if warm_up else 0.1 * self.runs

    def collect(self):
        x, y = self.inputs
        return Outcome([x * y + 0.125], payload=[600, 400], rounds=1)

    def stop(self):
        pass


if __name__ == "__main__":
    serve(Fake())
