// The run as the page works with it: columns unpacked, indexes for quick questions.

/**
 * @typedef {{node: number, from: number, to: number, role: number, epoch: number}} Band
 * @typedef {{name: string, tone: string, hue: number, words: string}} Role
 * @typedef {{title: string, classes: string[], stories: boolean, first: number, count: number}} Panel
 * @typedef {{sides: {letter: string, nodes: number[]}[], told: string[]}} Split
 * @typedef {{from: number, to: number, kind: string, nodes: number[], plan: string, split: Split | null}} Fault
 * @typedef {{since: number, behind: {node: number, why: string, event: number}[], missing: {word: string, names: string[]}}} Stuck
 * @typedef {{event: number, fault: number, chain: number[], stuck: Stuck | null, opens: {from: number, to: number}}} Moment
 * @typedef {{checker: string, verdict: string, kind: string, at: number, nodes: number[], detail: string, moment: Moment | null}} Judged
 */

/** Unpacks what the page carries. @returns {Promise<object[]>} */
async function unpack() {
  const packed = atob(document.getElementById("data").textContent);
  const bytes = new Uint8Array(packed.length);
  for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

/** Nanoseconds as seconds, with as many places as the step between two neighbours needs. */
function seconds(ns, places = 3) {
  return (ns / 1e9).toFixed(places);
}

/** A moment as the terminal tells it: cut to milliseconds, not rounded. */
function toldMoment(ns) {
  return seconds(Math.floor(ns / 1e6) * 1e6);
}

/** The first place in a sorted list whose value is at least this. */
function firstAtLeast(list, value, length = list.length) {
  let low = 0, high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
}

/** One run. */
class Run {
  constructor(data) {
    Object.assign(this, data);
    const { after, node, kind, text, follows, faults } = data.events;
    const count = after.length;
    this.count = count;
    this.at = new Float64Array(count);
    this.node = Int16Array.from(node);
    this.kind = Uint16Array.from(kind);
    this.text = Int32Array.from(text);
    this.follows = Uint8Array.from(follows);
    this.causeFault = new Map(faults.map(([event, fault]) => [event, data.faults[fault]]));
    for (let i = 0, now = 0; i < count; i++) this.at[i] = now += after[i];
    // The event before on the same node: the order in which a process lived.
    this.before = new Int32Array(count).fill(-1);
    this.eventsOf = this.nodes.map(() => []);
    for (let i = 0; i < count; i++) {
      const lane = this.node[i];
      if (lane < 0) continue;
      const own = this.eventsOf[lane];
      this.before[i] = own.length ? own[own.length - 1] : -1;
      own.push(i);
    }
    const m = data.messages;
    this.sent = Int32Array.from(m.sent);
    this.delivered = Int32Array.from(m.delivered);
    this.to = Int16Array.from(m.to);
    this.sentAt = Float64Array.from(m.sent, (event) => this.at[event]);
    // Most messages are quick. The few slow ones are looked at one by one, so that the search for
    // what is visible needs to go back by no more than the others take.
    const durations = [];
    for (let i = 0; i < this.sent.length; i++) {
      if (this.delivered[i] >= 0) durations.push(this.at[this.delivered[i]] - this.sentAt[i]);
    }
    durations.sort((a, b) => a - b);
    this.usual = durations.length ? durations[Math.floor(durations.length * 0.99)] : 0;
    this.slow = [];
    for (let i = 0; i < this.sent.length; i++) {
      if (this.delivered[i] >= 0 && this.at[this.delivered[i]] - this.sentAt[i] > this.usual) this.slow.push(i);
    }
    this.kindOf = (event) => this.kinds[this.kind[event]];
    this.sentKind = this.kinds.indexOf("sent");
    this.deliveredKind = this.kinds.indexOf("delivered");
    this.violations = this.verdicts.filter((v) => v.verdict === "violation").sort((a, b) => a.at - b.at);
    /** Nodes of one role each, in the order of the lanes. */
    this.groups = [];
    this.nodes.forEach(({ role }, lane) => {
      const last = this.groups[this.groups.length - 1];
      if (last?.role === role) last.lanes.push(lane); else this.groups.push({ role, lanes: [lane] });
    });
    this.operationsOf = this.nodes.map(() => []);
    for (const operation of this.operations) {
      const lane = this.node[operation.invoked];
      if (lane >= 0) this.operationsOf[lane].push(operation);
    }
    this.unpackPanels(data);
  }

  /** The rows of all panels are numbered through: each has a name, its changes, and a panel. */
  unpackPanels({ panels, changes }) {
    /** @type {{name: number, isDeep: boolean, panel: number, changes: number[]}[]} */
    this.rows = [];
    /** @type {Panel[]} */
    this.panels = panels.map(({ names, deep, ...panel }, place) => {
      const first = this.rows.length;
      names.forEach((name, i) => this.rows.push({ name, isDeep: deep[i] > 0, panel: place, changes: [] }));
      return { ...panel, first, count: names.length };
    });
    /** What each change makes of its row; -1 as a mark where the row is gone. */
    this.changes = { ...changes, event: new Int32Array(changes.after.length) };
    /** The rows with stories that an event changes. */
    this.storiesAt = new Map();
    changes.row.forEach((place, change) => {
      const event = (change ? this.changes.event[change - 1] : 0) + changes.after[change];
      this.changes.event[change] = event;
      const row = this.rows[place];
      row.changes.push(change);
      if (!this.panels[row.panel].stories) return;
      const known = this.storiesAt.get(event);
      if (known) known.push(row); else this.storiesAt.set(event, [row]);
    });
  }

  /** The sign of an event, or null. */
  signOf(event) {
    return this.signs[this.kind[event]];
  }

  /** What a band of a role says. */
  bandWords({ role, epoch }) {
    return `${this.roles[role].name}${epoch ? ` ${epoch}` : ""}`;
  }

  /** The message that an event is the sending or the delivery of, or -1. */
  messageOf(event) {
    const kind = this.kind[event];
    return kind === this.sentKind || kind === this.deliveredKind ? this.text[event] : -1;
  }

  /** The event in words. */
  words(event) {
    const message = this.messageOf(event);
    if (message < 0) return this.texts[this.text[event]];
    const label = this.texts[this.messages.label[message]];
    const bytes = numbered(this.messages.bytes[message], "byte");
    if (this.kind[event] === this.sentKind) {
      const lost = this.delivered[message] < 0 ? ", which never arrives" : "";
      return `sends to ${this.nameOf(this.to[message])}: ${label} (${bytes})${lost}`;
    }
    return `receives from ${this.nameOf(this.node[this.sent[message]])}: ${label} (${bytes})`;
  }

  nameOf(lane) {
    return lane >= 0 && lane < this.nodes.length ? this.nodes[lane].name : "world";
  }

  /** The messages of which something lies between these instants. */
  messagesBetween(from, to) {
    const found = [];
    const first = firstAtLeast(this.sentAt, from - this.usual);
    for (let i = first; i < this.sent.length && this.sentAt[i] <= to; i++) {
      const end = this.delivered[i] >= 0 ? this.at[this.delivered[i]] : this.sentAt[i];
      if (end >= from) found.push(i);
    }
    for (const i of this.slow) {
      if (i < first && this.at[this.delivered[i]] >= from) found.push(i);
    }
    return found;
  }

  /** How many events of a node lie before an instant, or up to it. */
  countOf(lane, at, isUpTo) {
    const own = this.eventsOf[lane];
    let low = 0, high = own.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const now = this.at[own[middle]];
      if (now < at || (isUpTo && now === at)) low = middle + 1; else high = middle;
    }
    return low;
  }

  /** A node of a list with its name, for a sentence. */
  namesOf(lanes) {
    return lanes.map((lane) => this.nameOf(lane)).join(", ");
  }

  /**
   * Of these nodes the first event after an instant (or at it), or the last before it; -1 without
   * any.
   */
  nextOf(lanes, at, isBack, isAtIt) {
    const places = lanes.map((lane) => (isBack
      ? this.eventsOf[lane][this.countOf(lane, at, false) - 1]
      : this.eventsOf[lane][this.countOf(lane, at, !isAtIt)]));
    const found = places.filter((event) => event !== undefined);
    return found.length ? found.reduce((a, b) => ((a < b) !== isBack ? a : b)) : -1;
  }

  /** The fault in a sentence. */
  faultWords(fault) {
    const spans = fault.to > fault.from ? `from ${seconds(fault.from)} s to ${seconds(fault.to)} s` : `at ${seconds(fault.from)} s`;
    const sides = (fault.split?.sides ?? []).map((side) => `${side.letter}: ${this.namesOf(side.nodes)}`);
    return `${fault.kind} of ${sides.length ? sides.join(" | ") : this.namesOf(fault.nodes)}, ${spans}`;
  }
}

/** `server`, `servers`: one or many. */
function plural(word, count) {
  if (count === 1) return word;
  return word.endsWith("s") ? `${word}es` : `${word}s`;
}

/** A number of things: `1 server`, `2 servers`. */
function numbered(count, word) {
  return `${count} ${plural(word, count)}`;
}

/** The same with a capital, for a heading. */
function heading(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
