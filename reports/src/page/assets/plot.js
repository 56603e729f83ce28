// Drawing one run: an overview strip and the lanes, on two canvases.

/** Above so many visible messages the lanes show how dense they are. */
const MESSAGES_DRAWN_MAX = 6000;
const FAULT_ROW = 15;
const FAULT_ROWS_MAX = 6;
const AXIS = 20;
/** Room for what lies on the right border: the end of the run, and often what broke it. */
const MARGIN = 10;
/** The line above the lanes of a group that names it. */
const GROUP_ROW = 15;
/** How far apart the letter of a side is repeated. */
const LETTER_EVERY = 260;

/** The colours of the sides of a partition; those of the first come again after the last. */
const SIDES = ["side-a", "side-b", "side-c", "side-d", "side-e", "side-f"];

/** The colours of the systems that show roles, each with one for what is lightly filled. */
const HUES = ["hue-a", "hue-b", "hue-c", "hue-d"];

/** The colours of the page, read once per drawing so that light and dark both work. */
function palette() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const names = ["paper", "ink", "quiet", "line", "faint", "down", "paused", "fault", "violation", "good", "message",
    "lost", "select", "stripe", ...HUES, ...HUES.map((hue) => `${hue}-line`), ...HUES.map((hue) => `${hue}-fill`), ...SIDES];
  return Object.fromEntries(names.map((name) => [name, colour(name)]));
}

/** A distance between marks on the axis that reads well: 1, 2 or 5 times a power of ten. */
function axisStep(span, marks) {
  const rough = span / Math.max(marks, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= rough) ?? 10 * power;
}

/** What is written on the canvas. */
const FONT = '12px system-ui, "DejaVu Sans", sans-serif';
const GROUP_FONT = '10.5px system-ui, "DejaVu Sans", sans-serif';

class Plot {
  /** @param {Run} run @param {View} view shared by all plots */
  constructor(run, view, parent, isOneOfMany) {
    this.run = run;
    this.view = view;
    this.box = document.createElement("div");
    this.box.className = "plot";
    if (isOneOfMany) {
      const title = document.createElement("h2");
      title.textContent = runTitle(run);
      this.box.append(title);
    }
    this.overview = document.createElement("canvas");
    this.overview.className = "overview";
    this.overview.setAttribute("aria-hidden", "true");
    this.canvas = document.createElement("canvas");
    this.canvas.className = "main";
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", "Lanes of all nodes; the table below has every event");
    this.box.append(this.overview, this.canvas);
    parent.append(this.box);
    this.faultRows = this.placeFaults();
    this.visible = { messages: 0, events: 0, isDense: false, sides: [] };
  }

  /** Faults that overlap get rows of their own, as far as there are rows. */
  placeFaults() {
    const ends = [];
    return this.run.faults.map((fault) => {
      let row = ends.findIndex((end) => end <= fault.from);
      if (row < 0) row = ends.length < FAULT_ROWS_MAX ? ends.length : FAULT_ROWS_MAX - 1;
      ends[row] = Math.max(ends[row] ?? 0, fault.to);
      return row;
    });
  }

  get faultHeight() {
    return (Math.max(-1, ...this.faultRows) + 1) * FAULT_ROW + 4;
  }

  layout() {
    const width = this.box.clientWidth;
    const isNarrow = width < 600;
    this.gutter = isNarrow ? 38 : 58;
    const lanes = Math.max(1, this.run.nodes.length);
    // Of stacked runs as much as possible is to be seen at once.
    const tallest = isNarrow ? 30 : this.view.runs.length > 1 ? 34 : 42;
    this.laneHeight = Math.max(26, Math.min(tallest, Math.floor(620 / lanes)));
    this.top = AXIS + this.faultHeight;
    this.width = width;
    this.span = width - this.gutter - MARGIN;
    /** Where each lane begins, and where the name of each group stands. */
    this.tops = [];
    let y = this.top;
    this.groupTops = this.run.groups.map((group) => {
      const top = y;
      y += GROUP_ROW;
      for (const lane of group.lanes) {
        this.tops[lane] = y;
        y += this.laneHeight;
      }
      return top;
    });
    this.height = y + 4;
    const scale = window.devicePixelRatio || 1;
    for (const [canvas, height] of [[this.canvas, this.height], [this.overview, 34]]) {
      canvas.style.height = `${height}px`;
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
      canvas.getContext("2d").setTransform(scale, 0, 0, scale, 0, 0);
    }
  }

  x(at) {
    const { from, to } = this.view;
    return this.gutter + ((at - from) / (to - from)) * this.span;
  }

  timeAt(x) {
    const { from, to } = this.view;
    return from + ((x - this.gutter) / this.span) * (to - from);
  }

  /** The middle of a lane. */
  y(lane) {
    return this.tops[lane] + this.laneHeight / 2;
  }

  draw() {
    this.colours = palette();
    const c = this.canvas.getContext("2d");
    c.font = FONT;
    c.textBaseline = "middle";
    c.clearRect(0, 0, this.width, this.height);
    this.drawLanes(c);
    c.save();
    c.beginPath();
    c.rect(this.gutter, 0, this.width - this.gutter, this.height);
    c.clip();
    this.drawAxis(c);
    this.drawFaults(c);
    this.drawBands(c);
    this.drawOperations(c);
    this.drawMessages(c);
    this.drawSides(c);
    this.drawNames(c);
    this.drawEvents(c);
    this.drawMoments(c);
    this.drawSelection(c);
    c.restore();
    this.drawGroups(c);
    this.drawOverview();
  }

  drawLanes(c) {
    c.textAlign = "left";
    this.run.groups.forEach((group, place) => {
      c.fillStyle = this.colours.line;
      c.fillRect(0, this.groupTops[place], this.width, 1);
      group.lanes.forEach((lane, nth) => {
        if (nth % 2 === 0) {
          c.fillStyle = this.colours.stripe;
          c.fillRect(0, this.tops[lane], this.width, this.laneHeight);
        }
        c.fillStyle = this.colours.ink;
        c.fillText(this.run.nodes[lane].name, 4, this.y(lane), this.gutter - 8);
      });
    });
  }

  /** What the groups of lanes are called, above the messages that pass between them. */
  drawGroups(c) {
    c.font = GROUP_FONT;
    c.textAlign = "left";
    this.run.groups.forEach((group, place) => {
      const text = plural(group.role, group.lanes.length);
      const top = this.groupTops[place];
      c.fillStyle = this.colours.paper;
      c.fillRect(0, top + 2, Math.max(this.gutter, c.measureText(text).width + 8), GROUP_ROW - 3);
      c.fillStyle = this.colours.quiet;
      c.fillText(text, 4, top + GROUP_ROW / 2 + 1);
    });
    c.font = FONT;
  }

  /** What is worth a word on the axis: where a chain of causes begins, and what broke. */
  marks() {
    const { run, view } = this;
    const marks = run.violations.map((violation) => ({ at: violation.at, text: `✗ ${violation.checker}`, colour: this.colours.violation }));
    const fault = view.run === run && view.violation ? run.faults[view.violation.moment.fault] : null;
    if (fault) marks.push({ at: fault.from, text: `cause: ${fault.kind}`, colour: this.colours.fault });
    // The one in hand and its cause first: of marks that meet, the first is written.
    const weight = ({ at }) => (at === view.instant ? 2 : fault && at === fault.from ? 1 : 0);
    return marks.sort((a, b) => weight(b) - weight(a));
  }

  drawAxis(c) {
    const { from, to } = this.view;
    const step = axisStep(to - from, this.span / 90);
    const places = Math.max(0, Math.min(9, Math.ceil(9 - Math.log10(step))));
    const taken = [];
    // Nothing is written over another, nor over the edge.
    const write = (text, x, colour) => {
      const half = c.measureText(text).width / 2;
      const middle = Math.max(this.gutter + half, Math.min(this.width - half - 2, x));
      if (taken.some(([left, right]) => middle - half < right && middle + half > left)) return;
      taken.push([middle - half - 8, middle + half + 8]);
      c.fillStyle = colour;
      c.fillText(text, middle, 8);
    };
    c.textAlign = "center";
    c.lineWidth = 1;
    for (const { at, text, colour } of this.marks()) {
      if (at >= from && at <= to) write(text, this.x(at), colour);
    }
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
      const x = Math.round(this.x(at)) + 0.5;
      c.strokeStyle = this.colours.line;
      c.beginPath();
      c.moveTo(x, AXIS - 4);
      c.lineTo(x, this.height);
      c.stroke();
      const text = `${seconds(at, places)} s`;
      const half = c.measureText(text).width / 2;
      if (x - half >= this.gutter && x + half <= this.width) write(text, x, this.colours.quiet);
    }
    this.drawEnd(c);
  }

  /** Beside a longer run: after its end there is nothing of a run. */
  drawEnd(c) {
    const x = this.x(this.run.virtual_ns);
    if (x >= this.width - MARGIN) return;
    c.fillStyle = this.colours.line;
    c.globalAlpha = 0.5;
    c.fillRect(x, this.top, this.width - x, this.height - this.top);
    c.globalAlpha = 1;
    c.fillStyle = this.colours.quiet;
    c.textAlign = "left";
    const text = "the run has ended";
    if (c.measureText(text).width + 12 < this.width - x) c.fillText(text, Math.max(x, this.gutter) + 6, this.height - 12);
  }

  drawFaults(c) {
    const { from, to } = this.view;
    this.run.faults.forEach((fault, index) => {
      if (fault.to < from || fault.from > to) return;
      const left = Math.max(this.gutter - 2, this.x(fault.from));
      const width = Math.max(2, Math.min(this.width - MARGIN + 2, this.x(fault.to)) - left);
      const top = AXIS + this.faultRows[index] * FAULT_ROW;
      const isChosen = this.view.fault === fault;
      const tint = (lanes, colour, alpha) => {
        c.globalAlpha = isChosen ? alpha * 2 : alpha;
        c.fillStyle = colour;
        for (const lane of lanes) c.fillRect(left, this.tops[lane], width, this.laneHeight);
        c.globalAlpha = 1;
      };
      const sides = fault.split?.sides ?? [];
      if (sides.length) sides.forEach((side, nth) => tint(side.nodes, this.sideColour(nth), 0.15));
      else tint(fault.nodes, this.colours.fault, 0.12);
      c.fillStyle = this.colours.fault;
      c.fillRect(left, top + 11, width, 3);
      c.fillRect(left, top + 1, 2, 13);
      // Only what fits in its own bar is written, so that no two texts meet.
      c.fillStyle = this.colours.ink;
      c.textAlign = "left";
      if (c.measureText(fault.kind).width + 8 < width) c.fillText(fault.kind, left + 5, top + 5);
    });
  }

  sideColour(nth) {
    return this.colours[SIDES[nth % SIDES.length]];
  }

  /** The letter of each side, on its nodes, as long as it lasts. */
  drawSides(c) {
    // Beside the band of a role in the middle of the lane, not over it.
    const SIZE = Math.min(13, Math.floor(this.laneHeight * 0.34));
    const { from, to } = this.view;
    c.font = `bold ${Math.min(10.5, SIZE - 1)}px system-ui, "DejaVu Sans", sans-serif`;
    this.visible.sides = [];
    c.textAlign = "center";
    this.run.faults.forEach((fault, index) => {
      if (!fault.split || fault.to < from || fault.from > to) return;
      const left = Math.max(this.gutter, this.x(fault.from));
      const right = Math.min(this.width - MARGIN, this.x(fault.to));
      // Faults that overlap stand in different rows, and so their letters beside each other.
      const shift = this.faultRows[index] * (SIZE + 3);
      fault.split.sides.forEach((side, nth) => {
        for (const lane of side.nodes) {
          this.visible.sides.push(`${this.run.nameOf(lane)} ${side.letter}`);
          const top = this.tops[lane] + this.laneHeight - SIZE - 1;
          for (let x = left + 1 + shift; x === left + 1 + shift || x + SIZE < right; x += LETTER_EVERY) {
            c.fillStyle = this.sideColour(nth);
            c.fillRect(x, top, SIZE, SIZE);
            c.fillStyle = this.colours.paper;
            c.fillText(side.letter, x + SIZE / 2, top + SIZE / 2 + 0.5);
          }
        }
      });
    });
    c.font = FONT;
  }

  /** How a band of a role is drawn: the colour that fills it, if any does, and that of its border. */
  inkOf({ role }) {
    const { tone, hue } = this.run.roles[role];
    const name = HUES[hue % HUES.length];
    if (tone === "strong") return { fill: this.colours[name], border: null, text: this.colours.paper };
    if (tone === "plain") return { fill: this.colours[`${name}-fill`], border: this.colours[`${name}-line`], text: this.colours.ink };
    return { fill: null, border: this.colours.faint, text: this.colours.ink };
  }

  /** A band of a role: filled for who decides, lightly for who takes part, dashed for who waits. */
  drawBand(c, band, left, right, top, height) {
    const width = Math.max(1, right - left);
    const { fill, border } = this.inkOf(band);
    if (fill) {
      c.fillStyle = fill;
      c.fillRect(left, top, width, height);
    }
    if (!border) return;
    c.strokeStyle = border;
    c.setLineDash(fill ? [] : [4, 3]);
    if (width < 2) {
      c.beginPath();
      c.moveTo(left + 0.5, top);
      c.lineTo(left + 0.5, top + height);
      c.stroke();
    } else c.strokeRect(left + 0.5, top + 0.5, width - 1, height - 1);
    c.setLineDash([]);
  }

  /** Where a band is cut at the right: what lasts to the run's end ends there. */
  rightOf(band) {
    return band.to >= this.view.to ? this.width - MARGIN : this.width + 1;
  }

  drawBands(c) {
    const { from, to } = this.view;
    const height = Math.min(13, this.laneHeight * 0.4);
    for (const band of this.run.bands) {
      if (band.to < from || band.from > to) continue;
      const left = Math.max(this.gutter - 1, this.x(band.from));
      const right = Math.min(this.rightOf(band), this.x(band.to));
      this.drawBand(c, band, left, right, Math.round(this.y(band.node) - height / 2), Math.round(height));
    }
    for (const band of this.run.lives) {
      if (band.to < from || band.from > to) continue;
      const left = Math.max(this.gutter - 1, this.x(band.from));
      const right = Math.min(this.rightOf(band), this.x(band.to));
      const width = Math.max(1, right - left);
      const [top, tall] = [this.tops[band.node] + 2, this.laneHeight - 4];
      const text = this.run.states[band.role];
      const isDown = text === "down";
      // Hatched one way for down and dotted for paused: told apart without colour.
      c.save();
      c.beginPath();
      c.rect(left, top, width, tall);
      c.clip();
      c.globalAlpha = 0.75;
      c.fillStyle = this.colours.paper;
      c.fillRect(left, top, width, tall);
      c.globalAlpha = 0.8;
      c.strokeStyle = c.fillStyle = isDown ? this.colours.down : this.colours.paused;
      if (isDown) {
        c.beginPath();
        for (let x = left - tall - (left % 8); x < right; x += 8) {
          c.moveTo(x, top + tall);
          c.lineTo(x + tall, top);
        }
        c.stroke();
      } else {
        for (let x = left - (left % 7); x < right; x += 7) {
          for (let y = top + 3; y < top + tall; y += 7) c.fillRect(x, y, 2, 2);
        }
      }
      c.restore();
      const wide = c.measureText(text).width + 10;
      // Who is paused keeps its role, whose name stands at the left.
      const [room, start] = isDown ? [width, left] : [width - 80, right - wide];
      if (wide < room) {
        c.fillStyle = this.colours.paper;
        c.fillRect(start + 2, this.y(band.node) - 8, wide - 4, 16);
        c.fillStyle = this.colours.ink;
        c.textAlign = "left";
        c.fillText(text, start + 5, this.y(band.node) + 0.5);
      }
    }
  }

  /** What the bands of roles are called, above the messages that cross them. */
  drawNames(c) {
    const { from, to } = this.view;
    c.textAlign = "left";
    for (const band of this.run.bands) {
      if (band.to < from || band.from > to) continue;
      const left = Math.max(this.gutter - 1, this.x(band.from));
      const right = Math.min(this.rightOf(band), this.x(band.to));
      const text = this.run.bandWords(band);
      const width = c.measureText(text).width;
      if (width + 10 >= right - left) continue;
      const ink = this.inkOf(band);
      c.fillStyle = ink.fill ?? this.colours.paper;
      c.fillRect(left + 2, this.y(band.node) - 5, width + 5, 10);
      c.fillStyle = ink.text;
      c.fillText(text, left + 4, this.y(band.node) + 0.5);
    }
  }

  drawOperations(c) {
    const { from, to } = this.view;
    const { run } = this;
    run.operationsOf.forEach((operations, lane) => {
      const top = this.y(lane) + this.laneHeight * 0.28;
      // Those that began before the view and end in it are few: the list is walked from its start
      // only as far as the view's end.
      for (const operation of operations) {
        const begin = run.at[operation.invoked];
        if (begin > to) break;
        const end = operation.returned >= 0 ? run.at[operation.returned] : run.virtual_ns;
        if (end < from) continue;
        const left = this.x(begin);
        const width = Math.max(1.5, this.x(end) - left);
        if (operation.outcome === "ok") {
          c.fillStyle = this.colours.good;
          c.fillRect(left, top, width, 4);
        } else {
          c.strokeStyle = operation.outcome === "failed" ? this.colours.quiet : this.colours.violation;
          c.setLineDash(operation.outcome === "failed" ? [] : [3, 2]);
          c.strokeRect(left, top + 0.5, width, 3);
          c.setLineDash([]);
        }
      }
    });
  }

  drawMessages(c) {
    const { from, to } = this.view;
    const { run } = this;
    const shown = run.messagesBetween(from, to);
    this.visible.messages = shown.length;
    this.visible.isDense = shown.length > MESSAGES_DRAWN_MAX;
    if (this.visible.isDense) {
      this.drawDensities(c, shown);
      return;
    }
    const alpha = shown.length > 1500 ? 0.35 : shown.length > 300 ? 0.55 : 1;
    c.globalAlpha = alpha;
    c.lineWidth = 1;
    c.strokeStyle = this.colours.message;
    c.beginPath();
    const lost = [];
    for (const message of shown) {
      const event = run.delivered[message];
      if (event < 0) {
        lost.push(message);
        continue;
      }
      c.moveTo(this.x(run.sentAt[message]), this.y(run.node[run.sent[message]]));
      c.lineTo(this.x(run.at[event]), this.y(run.to[message]));
    }
    c.stroke();
    // A lost one goes a part of its way and ends with an x.
    c.globalAlpha = Math.max(alpha, 0.7);
    c.strokeStyle = this.colours.lost;
    c.beginPath();
    for (const message of lost) {
      const x = this.x(run.sentAt[message]);
      const y = this.y(run.node[run.sent[message]]);
      const end = y + (this.y(run.to[message]) - y) * 0.4;
      c.moveTo(x, y);
      c.lineTo(x + 5, end);
      c.moveTo(x + 2, end - 3);
      c.lineTo(x + 8, end + 3);
      c.moveTo(x + 8, end - 3);
      c.lineTo(x + 2, end + 3);
    }
    c.stroke();
    c.globalAlpha = 1;
  }

  /** Too many messages for lines: how many each lane sends and receives, per pixel. */
  drawDensities(c, shown) {
    const { run } = this;
    const columns = Math.max(1, Math.floor(this.span / 2));
    const counts = run.nodes.map(() => new Uint32Array(columns));
    const { from, to } = this.view;
    let most = 1;
    const count = (lane, at) => {
      const column = Math.floor(((at - from) / (to - from)) * columns);
      if (lane < 0 || column < 0 || column >= columns) return;
      most = Math.max(most, ++counts[lane][column]);
    };
    for (const message of shown) {
      count(run.node[run.sent[message]], run.sentAt[message]);
      if (run.delivered[message] >= 0) count(run.to[message], run.at[run.delivered[message]]);
    }
    c.fillStyle = this.colours.message;
    counts.forEach((lane, index) => {
      const base = this.tops[index] + this.laneHeight - 1;
      for (let column = 0; column < columns; column++) {
        if (!lane[column]) continue;
        const height = Math.max(1, Math.sqrt(lane[column] / most) * this.laneHeight * 0.42);
        c.fillRect(this.gutter + column * 2, base - height, 2, height);
      }
    });
  }

  drawEvents(c) {
    const { from, to } = this.view;
    const { run } = this;
    const first = firstAtLeast(run.at, from, run.count);
    const last = firstAtLeast(run.at, to, run.count);
    this.visible.events = last - first;
    // Ticks for all when they are few; signs for what matters, one per place, always.
    const hasTicks = last - first < 3000;
    const taken = new Set();
    for (let event = first; event < last; event++) {
      const lane = run.node[event];
      if (lane < 0) continue;
      const sign = run.signOf(event);
      if (!sign && !hasTicks) continue;
      const x = this.x(run.at[event]);
      const y = this.y(lane);
      if (!sign) {
        c.fillStyle = this.colours.quiet;
        c.fillRect(x, y - this.laneHeight * 0.36, 1, 5);
        continue;
      }
      const place = `${sign} ${lane} ${Math.round(x / 5)}`;
      if (taken.has(place)) continue;
      taken.add(place);
      this.drawSign(c, sign, x, y - this.laneHeight * 0.3);
    }
  }

  drawSign(c, sign, x, y) {
    const isBad = sign === "cross";
    c.strokeStyle = c.fillStyle = isBad ? this.colours.violation : this.colours.ink;
    c.lineWidth = 1.6;
    c.beginPath();
    if (isBad) {
      c.moveTo(x - 4, y - 4);
      c.lineTo(x + 4, y + 4);
      c.moveTo(x + 4, y - 4);
      c.lineTo(x - 4, y + 4);
      c.stroke();
    } else if (sign === "triangle" || sign === "wedge") {
      const way = sign === "triangle" ? 1 : -1;
      c.moveTo(x - 3 * way, y - 4);
      c.lineTo(x + 4 * way, y);
      c.lineTo(x - 3 * way, y + 4);
      c.fill();
    } else if (sign === "bars") {
      c.fillRect(x - 3, y - 4, 2, 8);
      c.fillRect(x + 1, y - 4, 2, 8);
    } else if (sign === "star") {
      for (let i = 0; i < 10; i++) {
        const reach = i % 2 ? 2.2 : 5;
        const angle = (i * Math.PI) / 5 - Math.PI / 2;
        c.lineTo(x + reach * Math.cos(angle), y + reach * Math.sin(angle));
      }
      c.fill();
    } else if (sign === "square") {
      c.fillRect(x - 3, y - 3, 6, 6);
    } else {
      c.arc(x, y, sign === "dot" ? 2.4 : 3, 0, 2 * Math.PI);
      if (sign === "dot") c.fill(); else c.stroke();
    }
    c.lineWidth = 1;
  }

  /** The violations, and the instant that the state is shown of. */
  drawMoments(c) {
    for (const violation of this.run.violations) {
      const x = this.x(violation.at);
      c.strokeStyle = this.colours.violation;
      c.lineWidth = 2;
      c.beginPath();
      c.moveTo(x, AXIS - 4);
      c.lineTo(x, this.height);
      c.stroke();
      for (const lane of violation.nodes) {
        c.strokeRect(x - 6, this.y(lane) - this.laneHeight / 2 + 2, 12, this.laneHeight - 4);
      }
    }
    c.lineWidth = 1;
    const x = this.x(this.view.instant);
    c.strokeStyle = this.colours.select;
    c.setLineDash([5, 4]);
    c.beginPath();
    c.moveTo(x, AXIS - 4);
    c.lineTo(x, this.height);
    c.stroke();
    c.setLineDash([]);
  }

  drawSelection(c) {
    const { run, view } = this;
    if (view.run !== run || view.event < 0) return;
    c.strokeStyle = c.fillStyle = this.colours.select;
    c.lineWidth = 2;
    for (const event of [view.event, ...view.past]) {
      const message = run.messageOf(event);
      if (message < 0 || run.delivered[message] < 0) continue;
      c.beginPath();
      c.moveTo(this.x(run.sentAt[message]), this.y(run.node[run.sent[message]]));
      c.lineTo(this.x(run.at[run.delivered[message]]), this.y(run.to[message]));
      c.stroke();
    }
    const lane = run.node[view.event];
    if (lane >= 0) {
      c.beginPath();
      c.arc(this.x(run.at[view.event]), this.y(lane), 7, 0, 2 * Math.PI);
      c.stroke();
    }
    c.lineWidth = 1;
  }

  drawOverview() {
    const c = this.overview.getContext("2d");
    const { run, view } = this;
    const height = 34;
    const wide = this.span;
    const x = (at) => this.gutter + (at / view.end) * wide;
    c.clearRect(0, 0, this.width, height);
    c.fillStyle = this.colours.stripe;
    c.fillRect(this.gutter, 0, wide, height);
    const columns = Math.max(1, Math.floor(wide / 3));
    if (!this.densities || this.densities.length !== columns) {
      this.densities = new Uint32Array(columns);
      for (let i = 0; i < run.count; i++) {
        this.densities[Math.min(columns - 1, Math.floor((run.at[i] / view.end) * columns))]++;
      }
    }
    const most = this.densities.reduce((a, b) => Math.max(a, b), 1);
    c.fillStyle = this.colours.message;
    this.densities.forEach((count, column) => {
      // The root, so that one burst does not flatten everything else.
      const tall = Math.sqrt(count / most) * (height - 10);
      c.fillRect(this.gutter + column * 3, height - tall, 2, tall);
    });
    c.fillStyle = this.colours.fault;
    for (const fault of run.faults) c.fillRect(x(fault.from), 0, Math.max(1.5, x(fault.to) - x(fault.from)), 4);
    c.fillStyle = this.colours.violation;
    for (const violation of run.violations) c.fillRect(x(violation.at) - 1, 0, 3, height);
    c.strokeStyle = this.colours.ink;
    c.strokeRect(x(view.from) + 0.5, 0.5, Math.max(3, x(view.to) - x(view.from)) - 1, height - 1);
  }

  /** What lies under the pointer: an event, else a fault, else nothing. */
  hit(px, py) {
    const { run } = this;
    if (py < this.top) {
      const at = this.timeAt(px);
      const row = Math.floor((py - AXIS) / FAULT_ROW);
      const slack = this.timeAt(px + 3) - at;
      const found = run.faults.find((f, i) => this.faultRows[i] === row && f.from - slack <= at && at <= f.to + slack);
      return found ? { fault: found } : null;
    }
    const REACH = 9;
    let best = null;
    let nearest = REACH;
    const consider = (event, distance) => {
      if (distance < nearest) [best, nearest] = [{ event }, distance];
    };
    const first = firstAtLeast(run.at, this.timeAt(px - REACH), run.count);
    for (let event = first; event < run.count && run.at[event] <= this.timeAt(px + REACH); event++) {
      if (run.node[event] < 0) continue;
      const rise = Math.max(0, Math.abs(py - this.y(run.node[event])) - this.laneHeight / 2);
      // Signs are easier to hit than ticks: they are what one aims at.
      const head = run.signOf(event) ? 0 : 2;
      consider(event, Math.abs(this.x(run.at[event]) - px) + rise + head);
    }
    if (best || this.visible.isDense) return best;
    for (const message of run.messagesBetween(this.view.from, this.view.to)) {
      if (run.delivered[message] < 0) continue;
      const [x0, y0] = [this.x(run.sentAt[message]), this.y(run.node[run.sent[message]])];
      const [x1, y1] = [this.x(run.at[run.delivered[message]]), this.y(run.to[message])];
      const length = Math.hypot(x1 - x0, y1 - y0) || 1;
      const along = ((px - x0) * (x1 - x0) + (py - y0) * (y1 - y0)) / length;
      if (along < 0 || along > length) continue;
      consider(run.delivered[message], Math.abs((px - x0) * (y1 - y0) - (py - y0) * (x1 - x0)) / length);
    }
    return best;
  }
}
