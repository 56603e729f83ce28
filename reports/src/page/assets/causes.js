// Why something happened: an event's causal past, and the shortest chain from a fault to it.

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

/** Events after which nothing is as it was: faults come to a node in these. */
const STROKES = new Set(["crashed", "paused", "resumed", "disk_damaged"]);

/** A queue that gives the cheapest first. */
class Cheapest {
  constructor() { this.heap = []; }

  push(cost, item) {
    const { heap } = this;
    let at = heap.push({ cost, item }) - 1;
    while (at && heap[(at - 1) >> 1].cost > heap[at].cost) {
      const up = (at - 1) >> 1;
      [heap[up], heap[at]] = [heap[at], heap[up]];
      at = up;
    }
  }

  pop() {
    const { heap } = this;
    const top = heap[0];
    const last = heap.pop();
    if (heap.length) {
      heap[0] = last;
      for (let at = 0; ;) {
        const [left, right] = [2 * at + 1, 2 * at + 2];
        let least = at;
        if (left < heap.length && heap[left].cost < heap[least].cost) least = left;
        if (right < heap.length && heap[right].cost < heap[least].cost) least = right;
        if (least === at) break;
        [heap[least], heap[at]] = [heap[at], heap[least]];
        at = least;
      }
    }
    return top;
  }
}

/**
 * The shortest chain from a fault to an event, where a message counts as much as a second that passes. It
 * begins at a stroke of fate on a node, at a message that was lost, or at the first thing that a node did
 * after a fault began that struck it.
 * @returns {{fault: Fault | null, chain: number[]} | null}
 */
function chainFromFault(run, event) {
  const STEPS_MAX = 200000;
  const MESSAGE_COST = 1e9;
  const next = new Map();
  const best = new Map();
  const seen = new Set();
  const open = new Cheapest();
  open.push(0, event);
  for (let steps = 0; open.heap.length && steps < STEPS_MAX; steps++) {
    const { cost, item: at } = open.pop();
    if (seen.has(at)) continue;
    seen.add(at);
    const fault = struckAt(run, at);
    if (fault !== undefined) {
      const chain = [at];
      for (let e = at; next.has(e);) chain.push((e = next.get(e)));
      return { fault, chain };
    }
    for (const cause of causesOf(run, at)) {
      if (seen.has(cause)) continue;
      const hop = run.node[cause] === run.node[at] ? 0 : MESSAGE_COST;
      const reached = cost + run.at[at] - run.at[cause] + hop;
      if (reached < (best.get(cause) ?? Infinity)) {
        best.set(cause, reached);
        next.set(cause, at);
        open.push(reached, cause);
      }
    }
  }
  return null;
}

/** The fault that an event shows (null for a stroke without one), or undefined. */
function struckAt(run, event) {
  const lane = run.node[event];
  const at = run.at[event];
  if (STROKES.has(run.kindOf(event))) {
    return run.faults.find((f) => f.nodes.includes(lane) && f.from <= at && at <= f.to + 1e9) ?? null;
  }
  const message = run.messageOf(event);
  const before = run.before[event] >= 0 ? run.at[run.before[event]] : 0;
  const isLost = message >= 0 && run.kind[event] === run.sentKind && run.delivered[message] < 0;
  return run.faults.find((f) => f.nodes.includes(lane)
    && ((isLost && f.from <= at && at <= f.to) || (before < f.from && f.from <= at && at <= f.to)));
}

/** A chain without what only fills time: its ends, and where it passes from one node to another. */
function joints(run, chain) {
  return chain.filter((event, i) => i === 0 || i === chain.length - 1
    || run.node[chain[i - 1]] !== run.node[event] || run.node[chain[i + 1]] !== run.node[event]);
}
