// Putting it together: the view that all parts share, keys, pointer, fragment.

/** How close the view may get. */
const SPAN_MIN = 1000;

/**
 * What is shown. Of event, fault and violation at most one is selected; a violation brings the event
 * along that it is told at, to be marked.
 * @typedef {{from: number, to: number, instant: number, run: Run, runs: Run[], event: number, fault: Fault | null, violation: Judged | null, past: number[]}} View
 */

/** The roles of these runs, each as its sign and what it means, once: system by system, who decides first. */
function legendOfRoles(runs) {
  const known = new Map();
  const tones = ["strong", "plain", "faint"];
  const place = ({ hue, tone }) => hue * tones.length + tones.indexOf(tone);
  for (const { name, tone, hue, words } of runs.flatMap((run) => run.roles).sort((a, b) => place(a) - place(b))) {
    const text = words || name;
    known.set(`${text} ${tone} ${hue}`, [`role ${tone} ${HUES[hue % HUES.length]}`, text]);
  }
  return [...known.values()];
}

/** A node and a role that it has, as words to look for. */
function exampleOf(run) {
  const band = run.bands.find(({ role }) => run.roles[role].tone === "strong") ?? run.bands[0];
  return band ? `${run.nameOf(band.node)} ${run.roles[band.role].name}` : run.nameOf(0);
}

async function main() {
  const began = performance.now();
  const runs = (await unpack()).map((data) => new Run(data));
  const end = Math.max(...runs.map((run) => run.virtual_ns), SPAN_MIN);
  const first = runs.find((run) => run.opens_on >= 0) ?? runs[0];
  /** @type {View} */
  const view = { from: 0, to: end, end, instant: 0, run: first, runs, event: -1, fault: null, violation: null, past: [] };
  const choose = { event: select, fault: selectFault, violation: goTo };
  const plots = runs.map((run) => new Plot(run, view, document.getElementById("plots"), runs.length > 1));
  let isDue = false;
  let rows;

  const status = document.getElementById("status");
  function tell() {
    const messages = plots.reduce((sum, plot) => sum + plot.visible.messages, 0);
    const dense = plots.some((plot) => plot.visible.isDense) ? ", shown as densities" : "";
    const events = plots.reduce((sum, plot) => sum + plot.visible.events, 0);
    status.textContent = `${seconds(view.from)} to ${seconds(view.to)} s: ${numbered(events, "event")}, ${numbered(messages, "message")}${dense}${runs.length > 1 ? `; selected in ${runTitle(view.run)}` : ""}`;
  }

  /** Draws at the next frame, once however often it is asked. */
  function draw() {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      for (const plot of plots) plot.draw();
      tell();
    });
  }

  let isFragmentDue = false;
  function remember() {
    if (isFragmentDue) return;
    isFragmentDue = true;
    setTimeout(() => {
      isFragmentDue = false;
      const places = view.to - view.from < 1e7 ? 6 : 3;
      const parts = [`t=${seconds(view.from, places)}-${seconds(view.to, places)}`, `s=${seconds(view.instant, places)}`];
      if (view.violation) parts.push(`v=${view.run.violations.indexOf(view.violation)}`);
      else if (view.fault) parts.push(`f=${view.run.faults.indexOf(view.fault)}`);
      else if (view.event >= 0) parts.push(`e=${view.event}`);
      if (runs.length > 1) parts.push(`r=${runs.indexOf(view.run)}`);
      history.replaceState(null, "", `#${parts.join("&")}`);
    }, 150);
  }

  function show(from, to) {
    const span = Math.min(end, Math.max(SPAN_MIN, to - from));
    const start = Math.min(Math.max(0, from), end - span);
    [view.from, view.to] = [start, start + span];
    draw();
    remember();
  }

  function zoom(factor, at = (view.from + view.to) / 2) {
    const span = (view.to - view.from) * factor;
    const part = (at - view.from) / (view.to - view.from);
    show(at - span * part, at + span * (1 - part));
  }

  function setInstant(at, run = view.run) {
    if (run !== view.run) Object.assign(view, { run, event: -1, fault: null, violation: null, past: [] });
    view.instant = Math.min(Math.max(0, at), end);
    document.getElementById("scrubber").value = String(Math.round((view.instant / end) * 100000));
    showState(view, choose);
    draw();
    remember();
  }

  /** Selects this and nothing else, and brings every panel in line with it. */
  function put(run, at, { event = -1, fault = null, violation = null }) {
    const past = event >= 0 ? causalPast(run, event, 12) : [];
    Object.assign(view, { run, event, fault, violation, past });
    setInstant(at, run);
    showEvent(view, choose);
    if (event >= 0) rows.follow(event); else rows.turnTo(run);
  }

  function select(run, event) {
    if (event < 0) return put(run, view.instant, {});
    const at = run.at[event];
    if (at < view.from || at > view.to) show(at - (view.to - view.from) / 2, at + (view.to - view.from) / 2);
    put(run, at, { event });
  }

  function selectFault(run, fault) {
    const span = fault.to - fault.from;
    if (fault.from < view.from || fault.from > view.to) show(fault.from - span * 0.3, fault.to + span * 0.3);
    put(run, fault.from, { fault });
  }

  function goTo(run, violation) {
    show(violation.moment.opens.from, violation.moment.opens.to);
    put(run, violation.at, { event: violation.moment.event, violation });
  }

  /**
   * The next of a sorted list, or the one before: from the selected one if it is of the list, else
   * from the instant. After the last comes the first.
   */
  function hop(list, at, selected, isBack) {
    const NEAR = 1;
    const here = list.indexOf(selected);
    if (here >= 0) return list[(here + (isBack ? list.length - 1 : 1)) % list.length];
    const last = list[list.length - 1];
    return isBack
      ? list.findLast((item) => at(item) < view.instant - NEAR) ?? last
      : list.find((item) => at(item) > view.instant + NEAR) ?? list[0];
  }

  /** The run to look for such things in: the one in hand, or another that has any. */
  function runWith(has) {
    return has(view.run) ? view.run : runs.find(has);
  }

  function hopViolation(isBack) {
    const run = runWith((run) => run.violations.length > 0);
    if (run) goTo(run, hop(run.violations, (v) => v.at, view.violation, isBack));
  }

  function hopFault(isBack) {
    const run = runWith((run) => run.faults.length > 0);
    if (run) selectFault(run, hop(run.faults, (f) => f.from, view.fault, isBack));
  }

  const actions = {
    n: () => hopViolation(false),
    p: () => hopViolation(true),
    f: () => hopFault(false),
    F: () => hopFault(true),
    r: () => put(runs[(runs.indexOf(view.run) + 1) % runs.length], view.instant, {}),
    "+": () => zoom(0.5, view.instant >= view.from && view.instant <= view.to ? view.instant : undefined),
    "-": () => zoom(2),
    0: () => show(0, end),
    ArrowLeft: () => show(view.from - (view.to - view.from) / 5, view.to - (view.to - view.from) / 5),
    ArrowRight: () => show(view.from + (view.to - view.from) / 5, view.to + (view.to - view.from) / 5),
    ".": () => step(1),
    ",": () => step(-1),
    "/": () => document.getElementById("filter").focus(),
    "?": () => document.getElementById("help").showModal(),
    Escape: () => select(view.run, -1),
  };
  actions["="] = actions["+"];

  /**
   * From a selected event along its node; else from the instant, on the nodes that a fault strikes
   * or on all.
   */
  function step(by) {
    const { run, event, fault } = view;
    const lane = event >= 0 ? run.node[event] : -1;
    if (lane >= 0) {
      const own = run.eventsOf[lane];
      const place = firstAtLeast(own, event) + by;
      select(run, own[Math.min(own.length - 1, Math.max(0, place))]);
      return;
    }
    const lanes = fault ? fault.nodes : run.nodes.map((_, lane) => lane);
    const next = run.nextOf(lanes, view.instant, by < 0, fault !== null);
    if (next >= 0) select(run, next);
  }

  document.addEventListener("keydown", (pressed) => {
    if (pressed.ctrlKey || pressed.metaKey || pressed.altKey) return;
    const isTyping = pressed.target instanceof HTMLInputElement;
    if (isTyping && pressed.key === "Escape") pressed.target.blur();
    if (isTyping || document.getElementById("help").open) return;
    const isButton = pressed.target.closest?.("[data-act]");
    if (isButton && (pressed.key === "Enter" || pressed.key === " ")) {
      pressed.preventDefault();
      isButton.click();
      return;
    }
    const action = actions[pressed.key];
    if (action) {
      pressed.preventDefault();
      action();
    }
  });
  document.getElementById("tools").addEventListener("click", (clicked) => {
    const key = clicked.target.dataset?.key;
    if (key) actions[key]();
  });
  document.getElementById("scrubber").addEventListener("input", (moved) => {
    const at = (Number(moved.target.value) / 100000) * end;
    put(view.run, at, {});
  });

  for (const plot of plots) {
    let grip = null;
    plot.canvas.addEventListener("wheel", (turned) => {
      turned.preventDefault();
      if (turned.shiftKey) show(view.from + (turned.deltaY / 500) * (view.to - view.from), view.to + (turned.deltaY / 500) * (view.to - view.from));
      else zoom(1.0015 ** turned.deltaY, plot.timeAt(turned.offsetX));
    }, { passive: false });
    plot.canvas.addEventListener("pointerdown", (down) => {
      grip = { x: down.offsetX, from: view.from, to: view.to, isDrag: false };
      plot.canvas.setPointerCapture(down.pointerId);
    });
    plot.canvas.addEventListener("pointermove", (moved) => {
      if (!grip) return;
      const by = moved.offsetX - grip.x;
      if (Math.abs(by) > 4) grip.isDrag = true;
      if (grip.isDrag) {
        const shift = (by / plot.span) * (grip.to - grip.from);
        show(grip.from - shift, grip.to - shift);
      }
    });
    plot.canvas.addEventListener("pointerup", (up) => {
      const isClick = grip && !grip.isDrag;
      grip = null;
      if (!isClick) return;
      const hit = plot.hit(up.offsetX, up.offsetY);
      if (hit?.fault) selectFault(plot.run, hit.fault);
      else if (hit) select(plot.run, hit.event);
      else put(plot.run, plot.timeAt(up.offsetX), {});
    });
    plot.overview.addEventListener("pointerdown", (down) => {
      const at = ((down.offsetX - plot.gutter) / plot.span) * end;
      const half = Math.min((view.to - view.from) / 2, end / 20);
      show(at - half, at + half);
      put(plot.run, at, {});
    });
  }

  function layout() {
    for (const plot of plots) plot.layout();
    draw();
  }
  window.addEventListener("resize", layout);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  /** The view that the fragment names; without one where the run opens. */
  function recall() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    const run = runs[Number(wanted.get("r") ?? runs.indexOf(first))] ?? first;
    const opening = run.verdicts[run.opens_on];
    const [from, to] = (wanted.get("t") ?? "").split("-").map((text) => Number(text) * 1e9);
    const pick = (name, list) => (wanted.has(name) ? list[Number(wanted.get(name))] : undefined);
    const [violation, fault] = [pick("v", run.violations), pick("f", run.faults)];
    const event = Number(wanted.get("e") ?? -1);
    const hasRange = wanted.has("t") && to > from;
    if (violation) goTo(run, violation);
    else if (fault) selectFault(run, fault);
    else if (wanted.has("e") && event >= 0 && event < run.count) select(run, event);
    else if (opening && !wanted.has("s")) goTo(run, opening);
    else put(run, hasRange ? (from + to) / 2 : 0, {});
    // After the selection, which brings itself into view: what is restored may not show it.
    if (hasRange) show(from, to);
    else if (!wanted.has("t") && !opening) show(run.opens.from, run.opens.to);
    if (wanted.has("s")) setInstant(Number(wanted.get("s")) * 1e9, run);
  }

  const legend = [
    ...legendOfRoles(runs),
    ["down", "the process is down (hatched)"], ["paused", "the process is paused (dotted)"],
    ["ok", "a client's operation: ok"], ["failed", "an operation that was refused (hollow)"],
    ["unknown", "an operation of which nobody knows whether it happened (dashed)"],
    ["message", "a message"], ["lost", "a message that never arrives"],
    ["fault", "a fault, on the nodes that it strikes"], ["side", "the side of a partition that a node is on"],
    ["violation", "a violation"], ["instant", "the instant that the state is shown of"],
  ];
  document.getElementById("filter").placeholder = `Filter: words that all must occur, e.g. ${exampleOf(first)}`;
  document.getElementById("legend").append(...legend.map(([sign, text]) => {
    const drawn = element("span", { class: `sign ${sign}`, "aria-hidden": "true" }, { lost: "✗", side: "A" }[sign] ?? "");
    return element("li", {}, drawn, element("span", {}, text));
  }));
  showHead(runs, first, goTo);
  rows = new Rows(view, choose);
  showEvent(view, choose);
  layout();
  recall();
  window.mailstorm = {
    view: () => ({ from: view.from, to: view.to, instant: view.instant }),
    selection: () => ({
      run: runs.indexOf(view.run), event: view.event, fault: view.fault,
      violation: view.violation ? view.run.violations.indexOf(view.violation) : -1,
    }),
    events: (run = 0) => ({ count: runs[run].count, at: [...runs[run].at], node: [...runs[run].node] }),
    palette: () => palette(),
    visible: () => plots.map((plot) => ({ ...plot.visible })),
    rows: () => rows.events.length,
    press: (key) => actions[key]?.(),
    drawAll: () => { for (const plot of plots) plot.draw(); },
    readyAfterMs: 0,
  };
  requestAnimationFrame(() => {
    window.mailstorm.readyAfterMs = performance.now() - began;
    document.body.dataset.ready = "yes";
  });
}

main().catch((error) => {
  document.getElementById("verdict").textContent = `This page cannot be read: ${error.message}. Make it again with mailstorm report.`;
});
