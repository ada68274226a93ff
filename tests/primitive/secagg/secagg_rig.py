"""What the tests of secure aggregation share: small aggregations that can be stopped, bent and resumed at any message."""

from tacit.primitive.secagg import Client, Encoding, Identity, Layout, Roster, Round, Server, Terms, plan

SEED = bytes(range(32))


def terms_of(identities, encoding, *, numbers=None, session=b"test", number=0, seed=SEED, **risks):
    n = len(identities)
    risks = {"drop_out": 0.25, "corruption": 0.1, **risks}
    return Terms(
        session,
        number,
        Roster.of(identities),
        plan(n, **risks) if numbers is None else numbers,
        encoding,
        seed,
    )


class World:
    """n clients and their server; messages wait in `inbox` until they are moved."""

    def __init__(self, n=8, values=None, weights=None, **settings):
        self.identities = [Identity.generate(f"c{i}") for i in range(n)]
        self.values = [[i / n, -i / n, 0.5] for i in range(n)] if values is None else values
        settings = {"encoding": Encoding(Layout.of(self.values[0]), n), **settings}
        self.terms = terms_of(self.identities, **settings)
        weights = [None] * n if weights is None else weights
        self.clients = {
            one.name: Client(one, self.terms, value, weight)
            for one, value, weight in zip(self.identities, self.values, weights, strict=True)
        }
        self.server = Server(self.terms)
        self.upward = {}
        self.downward = {}

    def begin(self, silent=()):
        self.upward = {name: client.begin() for name, client in self.clients.items() if name not in silent}
        return self

    def receive(self):
        for name, data in self.upward.items():
            self.server.receive(name, data)
        return self

    def close(self):
        self.downward = self.server.close()
        return self

    def answer(self, silent=()):
        self.upward = {
            name: self.clients[name].answer(data) for name, data in self.downward.items() if name not in silent
        }
        return self

    def until(self, step):
        """Run honestly to the point where the clients' messages of this round wait in `upward`."""
        self.begin()
        for _ in range(step):
            self.receive().close().answer()
        return self

    def finish(self):
        """Run honestly to the end from wherever it is."""
        while self.server.round is not Round.UNMASK:
            self.receive().close().answer()
        return self.receive().server.result()
