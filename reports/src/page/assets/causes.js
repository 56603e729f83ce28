// Why something happened: an event's causal past, and the chain from a cause to it.

/** What an event follows from directly: its node's event before, and for a delivery the sending. */
function causesOf(run, event) {
  const causes = [];
  if (run.before[event] >= 0) causes.push(run.before[event]);
  const message = run.messageOf(event);
  if (message >= 0 && run.kind[event] === run.deliveredKind) causes.push(run.sent[message]);
  return causes;
}

/** The latest events of other nodes, and of its own, that an event follows from, newest first. */
function causalPast(run, event, count) {
  const past = [];
  const seen = new Set([event]);
  let edge = causesOf(run, event);
  while (edge.length && past.length < count) {
    edge.sort((a, b) => a - b);
    const next = edge.pop();
    if (seen.has(next)) continue;
    seen.add(next);
    past.push(next);
    edge.push(...causesOf(run, next));
  }
  return past;
}

/**
 * The sorts of steps by which an event follows from another: what the page is told of each event.
 */
const STEPS = { cause: 0, before: 1, sending: 2 };

/**
 * The cheapest chain from a cause to an event, and the fault that the cause is, if it is one.
 * @returns {{fault: Fault | null, chain: number[]}}
 */
function chainTo(run, event) {
  const chain = [event];
  for (let at = event; run.follows[at] !== STEPS.cause;) {
    at = run.follows[at] === STEPS.before ? run.before[at] : run.sent[run.messageOf(at)];
    chain.unshift(at);
  }
  return { fault: run.causeFault.get(chain[0]) ?? null, chain: joints(run, chain) };
}

/** Where a process dies, stops, or goes on. */
const TURNS = new Set(["crashed", "started", "paused", "resumed", "disk_damaged"]);

/**
 * A chain without what only fills time: its ends, its turns, and where it passes from node to node.
 */
function joints(run, chain) {
  return chain.filter((event, i) => i === 0 || i === chain.length - 1 || TURNS.has(run.kindOf(event))
    || run.node[chain[i - 1]] !== run.node[event] || run.node[chain[i + 1]] !== run.node[event]);
}
