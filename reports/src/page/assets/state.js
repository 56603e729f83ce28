// What holds at an instant: the tree, the sessions, who leads, the claims, each mail's story.

/** The state of a run, rebuilt for an instant from the changes before it. */
class State {
  constructor(run, at) {
    this.at = at;
    this.znodes = new Map();
    this.sessions = new Map();
    for (const change of run.changes) {
      if (run.at[change.event] > at) break;
      const { what, path, session, number, event } = change;
      if (what === "created") this.znodes.set(path, { owner: session, version: 0, event, panel: change.panel });
      else if (what === "deleted") this.znodes.delete(path);
      else if (what === "set") {
        const znode = this.znodes.get(path);
        if (znode) Object.assign(znode, { version: number, event });
      } else if (what === "opened") this.sessions.set(session, { timeout: number, event });
      else if (what === "closed") this.sessions.delete(session);
    }
    // What lasts to the run's end is still there at its last instant.
    const now = (band) => band.from <= at && (at < band.to || band.to >= run.virtual_ns);
    this.roles = run.lanes.roles.filter(now);
    this.lives = run.lanes.lives.filter(now);
    this.faults = run.faults.filter((fault) => fault.from <= at && at < fault.to);
    /** @type {Map<number, {event: number, what: string}[]>} */
    this.mails = new Map();
    for (const step of run.mails) {
      if (run.at[step.event] > at) break;
      if (!this.mails.has(step.mail)) this.mails.set(step.mail, []);
      this.mails.get(step.mail).push(step);
    }
  }

  /** The znodes that belong to a panel (all of them without one), in order. */
  znodesIn(panel) {
    const those = [...this.znodes].filter(([, znode]) => panel === undefined || znode.panel === panel);
    return those.sort(([a], [b]) => (a < b ? -1 : 1));
  }
}
