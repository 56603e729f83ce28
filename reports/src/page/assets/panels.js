// Everything beside the plots: verdicts, details, the state at an instant, the table of events.
// All text enters the document as text nodes: a subject line is hostile input.

/** An element with a class, an attribute or two, and text or other elements in it. */
function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function runTitle(run) {
  const defect = run.defect ? `, with the defect ${run.defect}` : "";
  return `${run.scenario}, seed ${run.seed}${defect}`;
}

/** Which of several runs a panel is about, after these words; nothing where there is only one. */
function ofRun({ run, runs }, words = "of") {
  return runs.length > 1 ? ` ${words} ${runTitle(run)}` : "";
}

/** A violation in a line. */
function violationTitle(run, violation) {
  const names = violation.nodes.map((lane) => `, ${run.nameOf(lane)}`).join("");
  return `${violation.checker}: ${violation.kind.replaceAll("_", " ")}, at ${toldMoment(violation.at)} s${names}`;
}

/** Behind whom work is stuck, in a sentence; empty for what is not. */
function stuckWords(run, { moment }) {
  const behind = moment?.stuck?.behind ?? [];
  if (!behind.length) return "";
  const names = behind.map(({ node, why }) => (node >= 0 ? `${run.nameOf(node)} (${why})` : why));
  const NAMED = 2;
  const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : "";
  return ` Stuck since ${seconds(moment.stuck.since)} s behind ${names.slice(0, NAMED).join(", ")}${more}.`;
}

/** The verdict, what broke, and the line that makes the run again. */
function showHead(runs, first, goTo) {
  const [title, what] = [document.getElementById("verdict"), document.getElementById("what")];
  const isOneOfMany = runs.length > 1;
  const opening = first.verdicts[first.opens_on];
  if (opening) {
    title.className = "violation";
    const where = isOneOfMany ? ` in ${runTitle(first)}` : "";
    title.textContent = `Violation of ${violationTitle(first, opening)}${where}`;
    what.textContent = `${opening.detail}.${stuckWords(first, opening)}`;
  } else {
    const unknown = runs.flatMap((run) => run.verdicts).find((v) => v.verdict === "unknown");
    title.className = unknown ? "unknown" : "pass";
    title.textContent = unknown ? `Unknown: ${unknown.checker}` : "Pass: everything that was to hold held";
    what.textContent = unknown ? unknown.detail : "";
  }
  const again = document.getElementById("again");
  for (const run of runs) {
    if (run.about) again.append(element("p", {}, run.about));
    again.append(element("p", { class: "quiet" },
      `${runTitle(run)}, ${seconds(run.virtual_ns, 1)} s of virtual time, trace ${run.trace}. `,
      element("code", {}, run.replay)));
    if (run.missing) again.append(element("p", {}, element("strong", {}, run.missing)));
  }
  const lists = document.getElementById("verdicts");
  for (const run of runs) {
    const list = element("ul", { "aria-label": `Verdicts on ${runTitle(run)}` });
    if (isOneOfMany) list.append(element("li", { class: "of" }, runTitle(run)));
    // What broke first, led by what the run is about, then what could not be told, then what held.
    const order = ["violation", "unknown", "pass"];
    const sorted = [...run.verdicts].sort((a, b) => order.indexOf(a.verdict) - order.indexOf(b.verdict));
    for (const verdict of sorted) {
      const isBroken = verdict.verdict === "violation";
      const sign = { pass: "✓", violation: "✗", unknown: "?" }[verdict.verdict];
      const text = isBroken ? `${verdict.checker}/${verdict.kind} ${toldMoment(verdict.at)} s` : verdict.checker;
      const item = element("li", { class: verdict.verdict, title: verdict.detail }, `${sign} ${text}`);
      if (isBroken) act(item, () => goTo(run, verdict));
      list.append(item);
    }
    lists.append(list);
  }
}

/** Lets an element be pressed, by pointer and by key. */
function act(item, does) {
  item.dataset.act = "";
  item.tabIndex = 0;
  item.setAttribute("role", "button");
  item.addEventListener("click", does);
  return item;
}

/** An event as an entry of a list, to jump to. */
function eventItem(run, event, choose) {
  const item = element("li", { "data-event": event },
    element("span", { class: "t" }, `${seconds(run.at[event], 6)} `),
    element("strong", {}, `${run.nameOf(run.node[event])} `), run.words(event));
  item.addEventListener("click", () => choose.event(run, event));
  return item;
}

/** A fault as an entry of a list, to jump to. */
function faultItem(run, fault, choose) {
  const item = element("li", { class: "fault" },
    element("span", { class: "t" }, `${seconds(fault.from, 6)} `),
    element("strong", {}, "fault "), run.faultWords(fault));
  item.addEventListener("click", () => choose.fault(run, fault));
  return item;
}

/**
 * A chain of causes in the order of time: events, the fault among them if there is one, and what they come to.
 */
function chainList(run, fault, events, choose, ...ends) {
  const COUNT = 14;
  const items = events.map((event) => eventItem(run, event, choose));
  if (fault) {
    // Work that it stopped came before it.
    const before = events.filter((event) => run.at[event] < fault.from).length;
    items.splice(before, 0, faultItem(run, fault, choose));
  }
  const isCut = items.length > COUNT;
  const begin = isCut ? items.slice(0, COUNT / 2) : items;
  const rest = isCut ? items.slice(-COUNT / 2) : [];
  const gap = isCut ? [element("li", { class: "quiet" }, `${numbered(items.length - COUNT, "step")} in between`)] : [];
  return element("ol", { class: "chain" }, ...begin, ...gap, ...rest, ...ends);
}

function listOf(rows) {
  const list = element("dl");
  for (const [name, value] of rows) list.append(element("dt", {}, name), element("dd", {}, value));
  return list;
}

/** What is selected: an event, a fault or a violation. */
function showEvent(view, choose) {
  const box = document.getElementById("event");
  const { run, event, fault, violation } = view;
  const kind = violation ? "Violation" : fault ? "Fault" : "Event";
  document.getElementById("details-title").textContent = `${kind}${ofRun(view)}`;
  box.replaceChildren();
  if (violation) showViolation(box, view, choose);
  else if (fault) {
    box.append(element("p", {}, element("strong", {}, run.faultWords(fault))));
    if (fault.split) box.append(element("ul", { class: "plain" }, ...fault.split.told.map((told) => element("li", {}, told))));
    box.append(element("pre", {}, fault.plan));
  } else if (event >= 0) showOneEvent(box, view, choose);
  else box.append(element("p", { class: "quiet" }, "Click an event, a message or a fault."));
}

function showViolation(box, { run, violation, past }, choose) {
  const { moment } = violation;
  box.append(element("p", {}, element("strong", {}, violationTitle(run, violation))));
  box.append(element("p", {}, `${violation.detail}.`));
  const { stuck } = moment;
  if (stuck) {
    box.append(element("h3", {}, `Stuck since ${seconds(stuck.since)} s${stuck.behind.length ? ", behind" : ""}`));
    const items = stuck.behind.map(({ node, why, event }) => {
      const item = element("li", {}, ...(node >= 0 ? [element("strong", {}, `${run.nameOf(node)} `)] : []), why);
      if (event >= 0) {
        item.dataset.event = event;
        item.addEventListener("click", () => choose.event(run, event));
      }
      return item;
    });
    if (items.length) box.append(element("ul", { class: "plain" }, ...items));
    const { word, names } = stuck.missing;
    if (names.length) {
      box.append(element("h3", {}, `Missing: ${numbered(names.length, word)}`));
      box.append(element("p", { id: "missing", tabindex: 0 }, names.join(", ")));
    }
  }
  const fault = run.faults[moment.fault] ?? null;
  const end = element("li", { class: "violation" }, element("span", { class: "t" }, `${seconds(violation.at, 6)} `),
    element("strong", {}, "violation "), `${violation.checker}/${violation.kind}`);
  const isFirst = fault && !moment.chain.some((event) => run.at[event] < fault.from);
  box.append(element("h3", {}, isFirst ? "From the fault to the violation" : "From the first cause to the violation"),
    chainList(run, fault, moment.chain, choose, end));
  showPast(box, run, past, choose);
}

function showOneEvent(box, { run, event, past }, choose) {
  const rows = [
    ["when", `${seconds(run.at[event], 9)} s`],
    ["where", run.nameOf(run.node[event])],
    ["what", run.words(event)],
    ["kind", `${run.kindOf(event).replaceAll("_", " ")}, number ${event}`],
  ];
  const message = run.messageOf(event);
  if (message >= 0 && run.delivered[message] >= 0) {
    const took = run.at[run.delivered[message]] - run.sentAt[message];
    rows.push(["under way", `${(took / 1e6).toFixed(3)} ms`]);
  }
  box.append(listOf(rows));
  const { fault, chain } = chainTo(run, event);
  if (fault || chain.length > 1) {
    const by = fault ? "a fault" : "the start of a process";
    box.append(element("h3", {}, `The shortest way from ${by} to it`), chainList(run, fault, chain, choose));
  }
  showPast(box, run, past, choose);
}

function showPast(box, run, past, choose) {
  if (!past.length) return;
  const items = past.map((event) => eventItem(run, event, choose));
  const title = past.length === 1 ? "Its cause" : `Its last ${past.length} causes, newest first`;
  box.append(element("h3", {}, title), element("ol", { class: "chain" }, ...items));
}

/** The lists of a state, each with at most so many entries, and how many more there are. */
const ENTRIES_MAX = 40;

/** So many stories are told at the most of what an event changes. */
const STORIES_MAX = 3;

function showState(view, choose) {
  const { run, instant } = view;
  document.getElementById("when").textContent = `${seconds(instant)} s${ofRun(view)}`;
  const box = document.getElementById("state");
  const state = new State(run, instant);
  const part = (title, items, count = items.length) => {
    const shown = items.slice(0, ENTRIES_MAX);
    if (count > shown.length) shown.push(element("li", { class: "quiet" }, `and ${count - shown.length} more`));
    return items.length ? [element("h3", {}, title), element("ul", {}, ...shown)] : [];
  };
  const line = (mark, text, does, depth) => {
    const item = element("li", { class: depth ? "deep" : null }, element("span", { class: "mark" }, mark), ` ${text}`);
    if (does) {
      item.dataset.does = "";
      item.addEventListener("click", does);
    }
    return item;
  };
  const at = (event) => () => choose.event(run, event);
  const faults = state.faults.flatMap((fault) => [
    line(fault.kind, run.namesOf(fault.nodes), () => choose.fault(run, fault)),
    ...(fault.split?.told ?? []).map((told) => element("li", { class: "deep" }, told)),
  ]);
  const stories = (run.storiesAt.get(view.event) ?? []).slice(0, STORIES_MAX).flatMap((row) => {
    const events = row.changes.map((change) => run.changes.event[change]).filter((event) => run.at[event] <= instant);
    return part(`The story of ${run.texts[row.name]}${ofRun(view, "in")}`, events.map((event) => line(
      `${seconds(run.at[event])} s`, `${run.nameOf(run.node[event])} ${run.words(event)}`, at(event))));
  });
  const { changes } = run;
  const panels = run.panels.flatMap((panel) => {
    const those = state.changesIn(panel);
    const items = those.slice(0, ENTRIES_MAX).map((change) => {
      const row = run.rows[changes.row[change]];
      const [name, value] = [run.texts[row.name], run.texts[changes.value[change]]];
      return line(run.texts[changes.mark[change]], value ? `${name}, ${value}` : name, at(changes.event[change]), row.isDeep);
    });
    return part(`${panel.title}: ${countWords(panel, those.map((change) => changes.class[change]))}`, items, those.length);
  });
  box.replaceChildren(
    ...stories,
    ...part("Faults", faults),
    ...run.groups.flatMap((group) => part(heading(plural(group.role, group.lanes.length)), groupLines(run, state, group, line))),
    ...panels,
  );
}

/** How many rows of each class there are, of those classes that have any. */
function countWords({ classes }, those) {
  const counts = classes.map((words, nth) => [those.filter((one) => one === nth).length, words]);
  return counts.filter(([count]) => count).map(([count, words]) => (words ? `${count} ${words}` : `${count}`)).join(", ");
}

/**
 * The nodes of a group: one by one where they have roles to tell, else those together that do the
 * same.
 */
function groupLines(run, state, group, line) {
  const does = (lane) => {
    const life = state.lives.find((band) => band.node === lane);
    if (life) return run.states[life.role];
    const band = state.roles.find((band) => band.node === lane);
    if (band) return `${run.roles[band.role].name}${band.epoch ? ` epoch ${band.epoch}` : ""}`;
    const first = run.eventsOf[lane][0];
    return first === undefined || run.at[first] > state.at ? "not started" : "up";
  };
  const isAlone = group.lanes.length === 1;
  if (isAlone || (run.bands.some((band) => group.lanes.includes(band.node)) && group.lanes.length <= ENTRIES_MAX)) {
    return group.lanes.map((lane) => line(run.nameOf(lane), does(lane)));
  }
  const together = new Map();
  for (const lane of group.lanes) {
    const what = does(lane);
    together.set(what, [...(together.get(what) ?? []), lane]);
  }
  return [...together].map(([what, lanes]) => line(what, run.namesOf(lanes)));
}

/** The table of all events: only the rows in sight are in the document. */
class Rows {
  constructor(view, choose) {
    Object.assign(this, { view, choose });
    this.box = document.getElementById("rows");
    this.shown = document.getElementById("rows-shown");
    this.tall = document.getElementById("rows-height");
    this.filter = document.getElementById("filter");
    this.box.addEventListener("scroll", () => this.draw());
    this.filter.addEventListener("input", () => this.search());
    this.search();
  }

  /** Every word of the filter must occur in the row. */
  search() {
    const { run } = this.view;
    const wanted = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    this.run = run;
    document.getElementById("listing-title").textContent = `Events${ofRun(this.view)}`;
    this.events = [];
    for (let event = 0; event < run.count; event++) {
      if (wanted.length) {
        const row = `${run.nameOf(run.node[event])} ${run.kindOf(event)} ${run.words(event)}`.toLowerCase();
        if (!wanted.every((word) => row.includes(word))) continue;
      }
      this.events.push(event);
    }
    this.tall.style.height = `${this.events.length * 22}px`;
    this.box.setAttribute("aria-rowcount", this.events.length);
    this.box.scrollTop = 0;
    this.draw();
  }

  draw() {
    const { run } = this;
    const first = Math.max(0, Math.floor(this.box.scrollTop / 22) - 5);
    const last = Math.min(this.events.length, first + Math.ceil(this.box.clientHeight / 22) + 10);
    this.shown.style.top = `${first * 22}px`;
    this.shown.replaceChildren(...this.events.slice(first, last).map((event, i) => {
      const cell = (name, text) => element("span", { class: name, role: "cell" }, text);
      const isSelected = this.view.run === run && this.view.event === event;
      const row = element("div",
        { class: isSelected ? "row selected" : "row", role: "row", "aria-rowindex": first + i + 1, "data-event": event },
        cell("t", seconds(run.at[event], 6)), cell("n", run.nameOf(run.node[event])), cell("w", run.words(event)));
      row.addEventListener("click", () => this.choose.event(run, event));
      return row;
    }));
  }

  /** Shows the events of this run, wherever they are. */
  turnTo(run) {
    if (this.run !== run) this.search(); else this.draw();
  }

  /** Brings the selected event, or the first one in view, into sight. */
  follow(event) {
    if (this.run !== this.view.run) this.search();
    const place = firstAtLeast(this.events, event);
    const top = place * 22;
    if (top < this.box.scrollTop || top > this.box.scrollTop + this.box.clientHeight - 44) {
      this.box.scrollTop = Math.max(0, top - this.box.clientHeight / 2);
    }
    this.draw();
  }
}
