"""Flower's SecAgg+ in one process: its server workflow and its client mod, with a transport that counts bytes and seconds.

Run by `benchmarks.secagg` in Flower's own environment; prints one line of JSON.
"""

import json
import logging
import sys
import time
from types import SimpleNamespace

import flwr
import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.client.mod.secure_aggregation.secaggplus_mod import secaggplus_mod
from flwr.common import Code, FitIns, FitRes, Parameters, Status, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.common.serde import recorddict_from_proto, recorddict_to_proto
from flwr.compat.common import recorddict_compat as compat
from flwr.proto.recorddict_pb2 import RecordDict as RecordDictProto
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD
from flwr.server.workflow.constant import Key as WorkflowKey
from flwr.server.workflow.secure_aggregation import secaggplus_workflow as flower
from flwr.supercore.task_identity import TaskIdentity

STAGES = ("setup", "share_keys", "collect_masked_vectors", "unmask")


def main():
    work = json.loads(sys.argv[1])
    logging.disable(logging.CRITICAL)
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
    n, size = work["clients"], work["values"]
    grid = Grid(n, size, silent=round(n * work["drop_out"]))
    workflow = flower.SecAggPlusWorkflow(
        num_shares=work["neighbours"] + 1,
        reconstruction_threshold=work["threshold"],
        clipping_range=1.0,
        max_weight=1000.0,
    )
    strategy = Strategy(n)
    records = SimpleNamespace(
        config_records={MAIN_CONFIGS_RECORD: ConfigRecord({WorkflowKey.CURRENT_ROUND: 1})},
        array_records={MAIN_PARAMS_RECORD: ArrayRecord([np.zeros(1)])},
    )
    manager = SimpleNamespace(num_available=lambda: n)
    history = SimpleNamespace(add_metrics_distributed_fit=lambda **_: None)
    context = SimpleNamespace(state=records, strategy=strategy, client_manager=manager, history=history)
    state = flower.WorkflowState()
    server_seconds = []
    for stage in STAGES:
        began, inside = time.perf_counter(), grid.seconds
        assert getattr(workflow, f"{stage}_stage")(grid, context, state), f"{stage} failed"
        server_seconds.append(time.perf_counter() - began - (grid.seconds - inside))
    kept = range(grid.silent, n)
    exact = sum(grid.weight(i) * grid.value(i) for i in kept) / sum(grid.weight(i) for i in kept)
    print(
        json.dumps(
            {
                "version": flwr.__version__,
                "client_seconds": grid.client_seconds,
                "server_seconds": server_seconds,
                "sent": grid.sent,
                "received": grid.received,
                "error": float(np.abs(strategy.mean - exact).max()),
            }
        )
    )


class Grid:
    """Hands every message to the client mod at once. Clients below `silent` answer nothing from the third stage on."""

    def __init__(self, n, size, silent):
        self.size, self.silent = size, silent
        self.contexts = {i: Context(i, i, {}, RecordDict(), {}) for i in range(n)}
        self.seconds = 0.0
        self.client_seconds, self.sent, self.received = [], [], []

    def weight(self, i):
        return 1 + i % 1000

    def value(self, i):
        return (i % 97 - 48) / 48

    def send_and_receive(self, messages, **_):
        began = time.perf_counter()
        stage, replies, busy, sent, received = len(self.sent), [], 0.0, 0, 0
        for message in messages:
            client = message.metadata.dst_node_id
            wire = recorddict_to_proto(message.content).SerializeToString()
            received = max(received, len(wire))
            if client < self.silent and stage >= 2:
                replies.append(Failure(client))
                continue
            # As over a network, no two clients are handed the same objects; that is not timed.
            message.content = recorddict_from_proto(RecordDictProto.FromString(wire))
            start = time.perf_counter()
            reply = secaggplus_mod(message, self.contexts[client], self.fit)
            busy += time.perf_counter() - start
            sent = max(sent, len(recorddict_to_proto(reply.content).SerializeToString()))
            replies.append(reply)
        answered = sum(not reply.has_error() for reply in replies)
        self.client_seconds.append(busy / max(answered, 1))
        self.sent.append(sent)
        self.received.append(received)
        self.seconds += time.perf_counter() - began
        return replies

    def fit(self, message, context):
        i = context.node_id
        parameters = ndarrays_to_parameters([np.full(self.size, self.value(i))])
        result = FitRes(Status(Code.OK, ""), parameters, self.weight(i), {})
        return Message(compat.fitres_to_recorddict(result, keep_input=False), reply_to=message)


class Failure:
    """What Flower's transport gives for a client that did not answer."""

    def __init__(self, client):
        self.metadata = SimpleNamespace(src_node_id=client)
        self.error = "silent"

    def has_error(self):
        return True


class Strategy:
    """Selects all clients, and takes the aggregated mean."""

    def __init__(self, n):
        self.n, self.mean = n, None

    def configure_fit(self, *_):
        ins = FitIns(Parameters([], ""), {})
        return [(SimpleNamespace(node_id=i), ins) for i in range(self.n)]

    def aggregate_fit(self, _, results, __):
        self.mean = parameters_to_ndarrays(results[0][1].parameters)[0]
        return None, {}


if __name__ == "__main__":
    main()
