// What holds at an instant: roles, processes, faults, and the rows of all panels.

/** The state of a run, rebuilt for an instant from the changes before it. */
class State {
  constructor(run, at) {
    this.run = run;
    this.at = at;
    /** The change by which each row says what it says, or -1. */
    this.rows = new Int32Array(run.rows.length).fill(-1);
    const { event, row, mark } = run.changes;
    for (let change = 0; change < event.length && run.at[event[change]] <= at; change++) {
      this.rows[row[change]] = mark[change] < 0 ? -1 : change;
    }
    // What lasts to the run's end is still there at its last instant.
    const now = (band) => band.from <= at && (at < band.to || band.to >= run.virtual_ns);
    this.roles = run.bands.filter(now);
    this.lives = run.lives.filter(now);
    this.faults = run.faults.filter((fault) => fault.from <= at && at < fault.to);
  }

  /** The changes by which the rows of a panel say what they say, sorted by class. @param {Panel} panel */
  changesIn({ first, count, classes }) {
    const those = [...this.rows.subarray(first, first + count)].filter((change) => change >= 0);
    const { class: classOf } = this.run.changes;
    return classes.length > 1 ? those.sort((a, b) => classOf[a] - classOf[b]) : those;
  }
}
