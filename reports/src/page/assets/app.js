// Putting it together: the view that all parts share, keys, pointer, fragment.

/** How close the view may get. */
const SPAN_MIN = 1000;

/** @typedef {{from: number, to: number, instant: number, run: Run, event: number, fault: Fault | null, past: number[]}} View */

async function main() {
  const began = performance.now();
  const runs = (await unpack()).map((data) => new Run(data));
  // A little more than there is, so that what happens last is not drawn on the border.
  const end = Math.max(...runs.map((run) => run.virtual_ns * 1.005), SPAN_MIN);
  const first = runs.find((run) => run.violations.length) ?? runs[0];
  /** @type {View} */
  const view = { from: 0, to: end, instant: 0, run: first, event: -1, fault: null, past: [] };
  const plots = runs.map((run) => new Plot(run, view, document.getElementById("plots"), runs.length > 1));
  let isDue = false;
  let rows;

  const status = document.getElementById("status");
  function tell() {
    const messages = plots.reduce((sum, plot) => sum + plot.visible.messages, 0);
    const dense = plots.some((plot) => plot.visible.isDense) ? ", shown as densities" : "";
    const events = plots.reduce((sum, plot) => sum + plot.visible.events, 0);
    status.textContent = `${seconds(view.from)} to ${seconds(view.to)} s: ${events} events, ${messages} messages${dense}`;
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
      if (view.event >= 0) parts.push(`e=${view.event}`);
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
    view.run = run;
    view.instant = Math.min(Math.max(0, at), end);
    document.getElementById("scrubber").value = String(Math.round((view.instant / end) * 100000));
    showState(view, select);
    draw();
    remember();
  }

  function select(run, event) {
    Object.assign(view, { run, event, fault: null });
    view.past = event >= 0 ? causalPast(run, event, 12) : [];
    showEvent(view, select);
    if (event >= 0) {
      const at = run.at[event];
      if (at < view.from || at > view.to) show(at - (view.to - view.from) / 2, at + (view.to - view.from) / 2);
      setInstant(at, run);
      rows.follow(event);
    } else {
      rows.draw();
      draw();
      remember();
    }
  }

  function selectFault(run, fault) {
    Object.assign(view, { run, event: -1, fault, past: [] });
    showEvent(view, select);
    const span = fault.to - fault.from;
    if (fault.to < view.from || fault.from > view.to) show(fault.from - span * 0.3, fault.to + span * 0.3);
    setInstant(fault.from, run);
  }

  function goTo(run, violation) {
    const AROUND = 2e8;
    show(violation.at - AROUND, violation.at + AROUND);
    select(run, run.eventOfViolation(violation));
    setInstant(violation.at, run);
  }

  /** The next one after the instant that is shown, or the one before it. */
  function hop(list, at, isBack) {
    const NEAR = 1;
    const sorted = [...list].sort((a, b) => at(a) - at(b));
    return isBack
      ? sorted.reverse().find((item) => at(item) < view.instant - NEAR) ?? sorted[0]
      : sorted.find((item) => at(item) > view.instant + NEAR) ?? sorted[0];
  }

  const actions = {
    n: () => { const v = hop(view.run.violations, (v) => v.at, false); if (v) goTo(view.run, v); },
    p: () => { const v = hop(view.run.violations, (v) => v.at, true); if (v) goTo(view.run, v); },
    f: () => { const f = hop(view.run.faults, (f) => f.from, false); if (f) selectFault(view.run, f); },
    F: () => { const f = hop(view.run.faults, (f) => f.from, true); if (f) selectFault(view.run, f); },
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

  function step(by) {
    const lane = view.event >= 0 ? view.run.node[view.event] : 0;
    const own = view.run.eventsOf[lane] ?? [];
    if (!own.length) return;
    const place = view.event >= 0 ? firstAtLeast(own, view.event) + by : 0;
    select(view.run, own[Math.min(own.length - 1, Math.max(0, place))]);
  }

  document.addEventListener("keydown", (pressed) => {
    if (pressed.ctrlKey || pressed.metaKey || pressed.altKey) return;
    const isTyping = pressed.target instanceof HTMLInputElement;
    if (isTyping && pressed.key === "Escape") pressed.target.blur();
    if (isTyping || document.getElementById("help").open) return;
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
    setInstant((Number(moved.target.value) / 100000) * end);
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
        const shift = (by / (plot.width - plot.gutter)) * (grip.to - grip.from);
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
      else setInstant(plot.timeAt(up.offsetX), plot.run);
    });
    plot.overview.addEventListener("pointerdown", (down) => {
      const at = ((down.offsetX - plot.gutter) / (plot.width - plot.gutter)) * plot.run.virtual_ns;
      const half = Math.min((view.to - view.from) / 2, end / 20);
      show(at - half, at + half);
      setInstant(at, plot.run);
    });
  }

  function layout() {
    for (const plot of plots) plot.layout();
    draw();
  }
  window.addEventListener("resize", layout);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  /** The view that the fragment names; without one the violation, or the whole run. */
  function recall() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    const run = runs[Number(wanted.get("r") ?? runs.indexOf(first))] ?? first;
    const [from, to] = (wanted.get("t") ?? "").split("-").map((text) => Number(text) * 1e9);
    if (wanted.has("t") && to > from) {
      const event = Number(wanted.get("e") ?? -1);
      if (wanted.has("e") && event >= 0 && event < run.count) select(run, event);
      // After the selection, which brings its event into view: what is restored may not show it.
      show(from, to);
      if (wanted.has("s")) setInstant(Number(wanted.get("s")) * 1e9, run);
      else if (!wanted.has("e")) setInstant((from + to) / 2, run);
      return;
    }
    if (run.violations.length) goTo(run, run.violations[0]);
    else {
      show(0, end);
      setInstant(0, run);
    }
  }

  const legend = [
    ["bar", "dark: leads an epoch; lighter: follows; pale: looks for a leader; violet: believes to be master"],
    ["hatched", "the process is down"], ["dotted", "it is paused"],
    ["thin bar", "a client's operation: filled ok, hollow refused, dashed nobody knows"],
    ["x at a line's end", "a message that never arrived"],
    ["amber", "a fault, on the nodes that it strikes"], ["thick line", "a violation"],
  ];
  document.getElementById("legend").append(...legend.map(([sign, text]) => element("li", {}, element("strong", {}, sign), `: ${text}`)));
  showHead(runs, goTo);
  rows = new Rows(view, select);
  showEvent(view, select);
  layout();
  recall();
  window.mailstorm = {
    view: () => ({ from: view.from, to: view.to, instant: view.instant }),
    selection: () => ({ run: runs.indexOf(view.run), event: view.event, fault: view.fault }),
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
