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

/** The line that makes the run again. */
function showHead(runs, goTo) {
  const [title, what] = [document.getElementById("verdict"), document.getElementById("what")];
  const broken = runs.flatMap((run) => run.violations.map((violation) => ({ run, violation })));
  if (broken.length) {
    const { run, violation } = broken[0];
    const names = violation.nodes.map((lane) => `, ${run.nameOf(lane)}`).join("");
    title.className = "violation";
    title.textContent = `Violation of ${violation.checker}: ${violation.kind.replaceAll("_", " ")}, at ${seconds(violation.at)} s${names}`;
    what.textContent = violation.detail;
  } else {
    const unknown = runs.flatMap((run) => run.verdicts).find((v) => v.verdict === "unknown");
    title.className = unknown ? "unknown" : "pass";
    title.textContent = unknown ? `Unknown: ${unknown.checker}` : "Pass: everything that was to hold held";
    what.textContent = unknown ? unknown.detail : "";
  }
  const again = document.getElementById("again");
  for (const run of runs) {
    if (run.about) again.append(run.about, element("br"));
    again.append(
      element("span", {}, `${runTitle(run)}, ${seconds(run.virtual_ns, 1)} s of virtual time, trace ${run.trace}. `),
      element("code", {}, run.replay),
      element("br"),
    );
    if (run.missing) again.append(element("strong", {}, run.missing), element("br"));
  }
  const list = document.getElementById("verdicts");
  for (const run of runs) {
    for (const verdict of run.verdicts) {
      const isBroken = verdict.verdict === "violation";
      const text = `${{ pass: "✓", violation: "✗", unknown: "?" }[verdict.verdict]} ${verdict.checker}${isBroken ? ` ${seconds(verdict.at)} s` : ""}`;
      const item = element("li", { class: verdict.verdict, title: verdict.detail, tabindex: isBroken ? 0 : null }, text);
      if (isBroken) item.addEventListener("click", () => goTo(run, verdict));
      list.append(item);
    }
  }
}

/** A list of events to jump to. */
function chainList(run, events, select) {
  const list = element("ol", { class: "chain" });
  for (const event of events) {
    const item = element("li", { "data-event": event },
      element("span", { class: "t" }, `${seconds(run.at[event], 6)} `),
      element("strong", {}, `${run.nameOf(run.node[event])} `), run.words(event));
    item.addEventListener("click", () => select(run, event));
    list.append(item);
  }
  return list;
}

function showEvent(view, select) {
  const box = document.getElementById("event");
  box.replaceChildren();
  const { run, event, fault } = view;
  if (fault) {
    const names = fault.nodes.map((lane) => run.nameOf(lane)).join(", ");
    box.append(
      element("p", {}, element("strong", {}, fault.kind), ` of ${names}, from ${seconds(fault.from)} s to ${seconds(fault.to)} s`),
      element("pre", {}, fault.plan),
    );
    return;
  }
  if (event < 0) {
    box.append(element("p", { class: "quiet" }, "Click an event, a message or a fault."));
    return;
  }
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
  const list = element("dl");
  for (const [name, value] of rows) list.append(element("dt", {}, name), element("dd", {}, value));
  box.append(list);
  const found = chainFromFault(run, event);
  if (found) {
    const shown = joints(run, found.chain);
    const by = found.fault ? `${found.fault.kind} at ${seconds(found.fault.from)} s` : "the stroke";
    const COUNT = 14;
    const cut = shown.length > COUNT ? [...shown.slice(0, COUNT / 2), ...shown.slice(-COUNT / 2)] : shown;
    box.append(element("h2", {}, `The shortest way from a fault to it: ${by}`), chainList(run, cut, select));
    if (cut !== shown) box.append(element("p", { class: "quiet" }, `${shown.length - COUNT} steps in between are not shown.`));
  }
  if (view.past.length) {
    box.append(element("h2", {}, `Its last ${view.past.length} causes, newest first`), chainList(run, view.past, select));
  }
}

/** The lists of a state, each with at most so many entries, and how many more there are. */
const ENTRIES_MAX = 40;

function showState(view, select) {
  const { run, instant } = view;
  document.getElementById("when").textContent = `${seconds(instant)} s`;
  const box = document.getElementById("state");
  const state = new State(run, instant);
  const part = (title, items) => {
    const shown = items.slice(0, ENTRIES_MAX);
    if (items.length > shown.length) shown.push(element("li", { class: "quiet" }, `and ${items.length - shown.length} more`));
    return items.length ? [element("h3", {}, title), element("ul", {}, ...shown)] : [];
  };
  const line = (mark, text, event, depth) => {
    const item = element("li", { class: depth ? "deep" : null, "data-event": event ?? null },
      element("span", { class: "mark" }, mark), ` ${text}`);
    if (event !== undefined) item.addEventListener("click", () => select(run, event));
    return item;
  };
  const life = new Map(state.lives.map((band) => [band.node, band.what]));
  const servers = run.nodes.flatMap((node, lane) => {
    const role = state.roles.find((band) => band.node === lane);
    if (node.role !== "server" && !role && !life.has(lane)) return [];
    const does = role ? `${role.what}${role.epoch ? ` epoch ${role.epoch}` : ""}` : "up";
    return [line(node.name, life.get(lane) ?? does)];
  });
  const mails = [...state.mails].sort(([a], [b]) => a - b).map(([mail, steps]) => {
    const last = steps[steps.length - 1];
    const effects = steps.filter((step) => step.what === "taken").length;
    const tries = steps.filter((step) => step.what === "tried").length;
    const mark = effects > 1 ? `✗ ${effects} effects` : effects ? "✓ in sink" : "… tried";
    const item = line(mark, `${run.texts[mail]}, ${tries} ${tries === 1 ? "try" : "tries"}`, last.event);
    item.dataset.mail = mail;
    return { item, effects, mail, steps };
  });
  mails.sort((a, b) => (b.effects > 1) - (a.effects > 1) || (a.effects > 0) - (b.effects > 0));
  const story = mails.find(({ steps }) => steps.some((step) => step.event === view.event && view.run === run));
  const claims = state.under("/work/").concat(state.under("/lock/"));
  box.replaceChildren(
    ...part("Servers", servers),
    ...part("Faults", state.faults.map((f) => line(f.kind, f.nodes.map((lane) => run.nameOf(lane)).join(", ")))),
    ...(story ? part(`The story of ${run.texts[story.mail]}`, story.steps.map((s) => line(`${seconds(run.at[s.event])} s`, `${run.nameOf(run.node[s.event])} ${run.words(s.event)}`, s.event))) : []),
    ...part(`Mails: ${mails.filter((m) => m.effects).length} in the sink, ${mails.filter((m) => !m.effects).length} being tried`, mails.map((m) => m.item)),
    ...part("Claims and locks", claims.map(([path, z]) => line(z.owner ? "ephemeral" : `version ${z.version}`, `${path}${z.owner ? ` of ${z.owner}` : ""}`, z.event))),
    ...part(`Sessions: ${state.sessions.size}`, [...state.sessions].map(([id, s]) => line(`${s.timeout} ms`, id, s.event))),
    ...part(`Znodes: ${state.znodes.size}`, state.under("/").map(([path, z]) => line(z.owner ? "ephemeral" : `version ${z.version}`, path, z.event, path.lastIndexOf("/") > 0))),
  );
}

/** The table of all events: only the rows in sight are in the document. */
class Rows {
  constructor(view, select) {
    Object.assign(this, { view, select });
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
      row.addEventListener("click", () => this.select(run, event));
      return row;
    }));
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
